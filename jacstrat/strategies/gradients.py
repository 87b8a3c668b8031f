"""Whether the gradient of a claim is that of its value: along a line through all leaves, and leaf by leaf."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite

import torch
from torch import Tensor

from jacstrat.core.errors import message_of
from jacstrat.strategies.cuts import Ends, has_cuts
from jacstrat.strategies.look import ClaimLook
from jacstrat.strategies.slope import LEAST, UNKNOWN, LeafLine, Slope
from jacstrat.strategies.truth import REFUSALS, TOLERANCE, Truth
from jacstrat.trace.arguments import Function

# Rounding is off by some eps of the terms; a term that is missing by far more than the square root of it.
POWER_OF_EPS = 0.5
# Of the step of differences, where those of a whole one meet with a kink.
CLOSER = 1 / 64
# A gradient so near that of autograd is its rounding, whatever its size.
LEAST_GRADIENT = 1e-9

EDGES = "at an edge, such as norm or sqrt at 0, torch's derivative is a convention"


@dataclass(eq=False)
class Gradients:
    """What was found of gradients at each look, which all claims are held against."""

    _rough_slopes: dict[object, Slope] = field(default_factory=dict)
    _slopes: dict[object, Slope] = field(default_factory=dict)
    _gradients: dict[object, list[Tensor] | None] = field(default_factory=dict)
    _cuts: dict[object, bool] = field(default_factory=dict)

    def fault(
        self, key: object, look: ClaimLook, truth: Truth, claimed: Tensor, leaf: Tensor, ending: Ends, has_gap: bool
    ) -> str:
        """What is wrong with the gradient of a claim, in words that go on behind "it"; "" where nothing is.

        Args:
            key: Of the look, the same for all claims.
            look, truth: At what, and what is right.
            claimed: The claim's numbers, with a graph.
            leaf: The points, a leaf where they require grad.
            ending: Where the graph of f ends.
            has_gap: Whether autograd's own gradient is known to be wrong.
        """
        line = LeafLine.through(leaf, ending.leaves, look.question.f)
        if not line.leaves:
            return ""
        known = truth.is_known.all(0)
        weights = torch.linspace(1, 2, known.numel(), dtype=claimed.dtype, device=claimed.device).view_as(known) * known
        weighted = (torch.where(known, claimed, 0) * weights).sum()
        try:
            mine = line.gradients(weighted)
        except REFUSALS as error:
            return f"has no gradient: {message_of(error).split('. ')[0]}"
        tolerance = TOLERANCE[claimed.dtype]
        if key not in self._cuts:
            self._cuts[key] = line.is_hooked or has_cuts(look.question.f, line.points)
        autograd_decides = self._cuts[key] and not has_gap
        derivative, size = line.contracted(mine)

        def total(points: Tensor) -> Tensor:
            return look.question.total(points, truth, weights)

        if key not in self._rough_slopes:
            is_seen = not ending.goes_beyond and not (self._cuts[key] and line.is_cut(look.question.f))
            self._rough_slopes[key] = line.roughly(total) if is_seen else UNKNOWN
        if (rough := self._rough_slopes[key]).is_known and rough.is_near(derivative, size, tolerance):
            return self._leaf_fault(key, line, mine, total, truth, autograd_decides)
        if key not in self._slopes:
            self._slopes[key] = line.by_differences(total) if rough.is_known else UNKNOWN
            # A kink is near, as in a network of relu, and none nearer.
            if rough.is_known and not self._slopes[key].is_known:
                self._slopes[key] = line.by_differences(total, shrink=CLOSER)
        if (slope := self._slopes[key]).is_known:
            if slope.is_near(derivative, size, tolerance):
                return self._leaf_fault(key, line, mine, total, truth, autograd_decides)
            for is_written in (False, True):
                slope = self._slopes[key] = line.by_differences(total, is_steady=True, is_written=is_written)
                if slope.is_known and slope.is_near(derivative, size, tolerance):
                    return self._leaf_fault(key, line, mine, total, truth, autograd_decides)
        is_seen = slope.is_known
        is_finite = isfinite(derivative) or bool(truth.is_known.all())
        if not is_seen or not is_finite or autograd_decides:
            # By autograd, where differences do not see what is meant, or see a kink; where a row at an edge leaves no
            # gradient to any; and where f cuts off so little that its value hardly shows it.
            nested = None if has_gap else self._own_slope(line, total, truth)
            if nested is None and not is_seen:
                return ""
            if nested is not None and (nested != nested or Slope(nested).is_near(derivative, size, tolerance)):
                return self._leaf_fault(key, line, mine, total, truth, autograd_decides) if autograd_decides else ""
            slope = slope if nested is None else Slope(nested)
        off = abs(derivative - slope.value)
        share = off / max(size, abs(slope.value), LEAST)
        allowed = torch.finfo(claimed.dtype).eps ** POWER_OF_EPS
        if share < torch.inf and off <= allowed * self._size_of_terms(look, truth, weights, line):
            return ""  # the rounding of terms that cancel, as those of a divergence that is 0 everywhere
        if not share < torch.inf:
            return f"has a gradient that is not finite where the operator is smooth: {EDGES}"
        return f"has a gradient in what f holds that is off by {share:.2g} of its size"

    @staticmethod
    def _size_of_terms(look: ClaimLook, truth: Truth, weights: Tensor, line: LeafLine) -> float:
        """The size of a gradient in which the terms of a sum do not cancel: every other one with the other sign."""
        signs = torch.ones(len(truth.forms), *(1,) * weights.dim(), dtype=weights.dtype, device=weights.device)
        signs[::2] = -1
        try:
            return line.by_autograd(look.question.total(line.points, truth, signs * weights))[1]
        except REFUSALS:
            return 0.0

    def _leaf_fault(
        self, key: object, line: LeafLine, claimed: list[Tensor], total: Function, truth: Truth, autograd_decides: bool
    ) -> str:
        """What is wrong in the gradient of one leaf, too little of all for a line through all of them to show.

        Leaf by leaf against autograd; where they differ, differences along that leaf alone decide, or where f cuts off
        derivatives, which these do not see, autograd itself.
        """
        if key not in self._gradients:
            try:
                by_differences = bool(truth.by_differences.any())
                self._gradients[key] = None if by_differences else line.gradients(total(line.points))
            except REFUSALS:
                self._gradients[key] = None
        if (wanted := self._gradients[key]) is None:
            return ""
        dtype = line.points.dtype
        allowed = torch.finfo(dtype).eps ** POWER_OF_EPS
        for number, (mine, true) in enumerate(zip(claimed, wanted, strict=True)):
            size = float(true.abs().max()) if true.numel() else 0.0
            if not size < torch.inf or bool(((mine - true).abs() <= allowed * size + LEAST_GRADIENT).all()):
                continue
            alone = line.along(number)
            derivative, terms = alone.contracted([mine])
            slopes = (
                [Slope(alone.contracted([true])[0])]
                if autograd_decides
                else (alone.by_differences(total, is_steady=True, is_written=it) for it in (False, True))
            )
            for slope in slopes:
                if not slope.is_known or slope.is_near(derivative, terms, TOLERANCE[dtype]):
                    break
            else:
                share = abs(derivative - slope.value) / max(terms, abs(slope.value), LEAST)
                return f"has a gradient in what f holds that is off by {share:.2g} of its size in one tensor"
        return ""

    @staticmethod
    def _own_slope(line: LeafLine, total: Function, truth: Truth) -> float | None:
        """The slope by autograd; None where that cannot differentiate f so often."""
        if bool(truth.by_differences.any()):
            return None
        try:
            return line.by_autograd(total(line.points))[0]
        except REFUSALS:
            return None
