"""A witness that trusts no trace, no pattern, no rule of a transform: reverse over reverse by torch.autograd.grad.

A prepared operator is a claim. Before it is handed out it is held against the witness at a few points of the real x,
from different parts of it, those with zeros and ties among them, and at points with random numbers beside them; where
gradients are tracked, also in the gradient of the leaves along a random direction.

The witness is a claim of torch's, too, and is wrong where one of its rules is: so it is held against differences of f
in its turn, where f is smooth, and its gradient is a difference of its values. A block of no_grad, a detach or a custom
backward is no error that differences may contradict: there autograd is what is meant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from jacstrat.strategies.cuts import Ends, ends
from jacstrat.strategies.differences import STEPS, precision
from jacstrat.strategies.gaps import Transform, gap
from jacstrat.strategies.probes import unit_rows
from jacstrat.strategies.sample import Sample, samples
from jacstrat.strategies.slope import LEAST, UNKNOWN, Line, Slope
from jacstrat.strategies.truth import MOST_ROUNDING, REFUSALS, ROUNDINGS, TOLERANCE, Question, Truth
from jacstrat.strategies.workload import same_random_numbers
from jacstrat.tape.rows import rows_apart

Function = Callable[[Tensor], Tensor]

# Coordinates up to which all unit vectors are taken: beyond, ENTRIES of them, or ALONG random directions.
FULL, ENTRIES, ALONG = 32, 8, 2
# Rounding is off by some eps of the terms; a term that is missing by far more than the square root of it.
POWER_OF_EPS = 0.5
# Of the step of differences, where those of a whole one meet with a kink.
CLOSER = 1 / 64
# A gradient so near that of autograd is its rounding, whatever its size.
LEAST_GRADIENT = 1e-9

_EDGES = "at an edge, such as norm or sqrt at 0, torch's derivative is a convention"


class Claim(Protocol):
    """What is held against the witness, as a `Contraction` has it."""

    @property
    def evaluate(self) -> Function: ...
    @property
    def entries(self) -> Callable[[Tensor, Tensor], Tensor] | None: ...
    @property
    def along(self) -> Callable[[Tensor, Tensor], Tensor] | None: ...
    @property
    def is_traced(self) -> bool: ...


def has_numbers(x: Tensor) -> bool:
    """Whether values of x can be looked at: no meta or fake tensor, no tracer, no transform around."""
    return not (
        x.is_meta
        or torch.compiler.is_compiling()
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch.utils._python_dispatch._get_current_dispatch_mode_stack()
    )


class Look(NamedTuple):
    """One look at a claim.

    Fields:
        sample: The points.
        question: What the witness is asked.
        is_summed: Whether the claim gives the sum of the forms, and not each.
        claimed: The claim's numbers at points in place of those that are looked at, (K, ...), K = 1 where summed.
    """

    sample: Sample
    question: Question
    is_summed: bool
    claimed: Function

    def summed(self, forms: Tensor) -> Tensor:
        """Forms as the claim has them."""
        return forms.sum(0, keepdim=True) if self.is_summed else forms


@dataclass(eq=False)
class Witness:
    """What plain autograd says of an operator of f near x. What it said is kept: candidates share it.

    Args:
        operator: "laplacian", or another for f itself.
        f: Row-wise, shapes checked.
        x: Points, (B, n) or (n,).

    Cost: min(n, 32) VJPs at up to 15 points and eight evaluations of f there, one of them for known gaps, see `gaps`;
    for each claim a call of it, at all of x where it was traced, else at these points. With gradients tracked seven
    times as many VJPs, and for each tensor in which a gradient differs from autograd's up to 21 times.
    """

    operator: str
    f: Function
    x: Tensor
    _truths: dict[object, Truth] = field(default_factory=dict)
    _slopes: dict[object, Slope] = field(default_factory=dict)
    _gradients: dict[object, list[Tensor] | None] = field(default_factory=dict)
    _gaps: dict[object, str] = field(default_factory=dict)

    def fault(
        self,
        claim: Claim,
        stochastic: bool = False,
        tracked: bool | None = None,
        transforms: frozenset[Transform] = frozenset(),
    ) -> str:
        """What is wrong with a claim, in words that go on behind "it"; "" where nothing is, or nothing can be seen.

        Args:
            claim: Of the operator of f.
            stochastic: Its results are random, and its products alone can be looked at.
            tracked: Whether its gradient is looked at, too; as it is now where not given.
            transforms: What its strategy takes f through; what is known to be wrong under these is refused by name.

        Raises:
            Whatever f or the claim raises.
        """
        if self.x.numel() == 0 or not has_numbers(self.x):
            return ""
        with same_random_numbers(self.x.device), torch.set_grad_enabled(self._is_tracked(tracked)):
            if self._is_random:
                return ""
            if found := self._gap(transforms, claim.is_traced):
                return found
            for sample in self._samples:
                look = self._look(sample, claim, stochastic)
                if look is not None and (fault := self._fault(look)):
                    return fault
        return ""

    def _gap(self, transforms: frozenset[Transform], is_traced: bool) -> str:
        key = (transforms, is_traced, torch.is_grad_enabled())
        if key not in self._gaps:
            points = self._samples[-1].seen if self._is_apart else self.x.detach()
            points = points.detach().requires_grad_(self.x.requires_grad)
            order = 2 if self.operator == "laplacian" else 1
            self._gaps[key] = gap(self.f, points, transforms, order, is_traced, torch.is_grad_enabled())
        return self._gaps[key]

    @staticmethod
    def _is_tracked(tracked: bool | None) -> bool:
        return torch.is_grad_enabled() if tracked is None else tracked

    @cached_property
    def _is_random(self) -> bool:
        """Whether f draws random numbers: then two results of it have nothing in common."""
        with torch.no_grad():
            before = _random_state(self.x.device)
            self.f(self.x.detach())
            after = _random_state(self.x.device)
        return not all(map(torch.equal, before, after))

    @cached_property
    def _is_apart(self) -> bool:
        """Whether f may be asked for a part of the rows of x."""
        return not rows_apart(self.f, self.x)

    @cached_property
    def _samples(self) -> tuple[Sample, ...]:
        found = samples(self.x)
        try:
            with torch.no_grad():
                self.f(found[-1].points)
        except Exception:  # f takes the real points and no others, as one that looks numbers up
            return (Sample(self.x.detach(), found[0].rows),)
        return found

    def _look(self, sample: Sample, claim: Claim, stochastic: bool) -> Look | None:
        """How a claim is looked at; None where it is random and shows no product."""
        n = self.x.shape[-1]
        few = n > FULL or stochastic
        evaluate, entries, along = claim.evaluate, claim.entries, claim.along
        numbers: Function
        is_summed = self.operator != "jacobian_diagonal"
        if few and along is not None:
            generator = torch.Generator().manual_seed(n)
            V = torch.randn(ALONG, n, generator=generator, dtype=torch.float64).to(self.x)
            is_summed, numbers = True, lambda points: along(points, V).unsqueeze(0)
        elif few and entries is not None:
            coordinates = torch.tensor(sorted({k * n // ENTRIES for k in range(ENTRIES)}), device=self.x.device)
            V = unit_rows(self.x, coordinates)
            is_summed, numbers = False, lambda points: entries(points, coordinates).movedim(-1, 0)
        elif stochastic:
            return None
        else:
            V = unit_rows(self.x, torch.arange(n, device=self.x.device))
            numbers = (lambda x: evaluate(x).unsqueeze(0)) if is_summed else (lambda x: evaluate(x).movedim(-1, 0))
        is_whole = sample.rows is not None and (claim.is_traced or not self._is_apart)
        f = self.f if sample.rows is None or self._is_apart else lambda x: sample.of(self.f(sample.placed(x)))
        claimed = (lambda x: sample.of(numbers(sample.placed(x)), 1)) if is_whole else numbers
        return Look(sample, Question(self.operator, f, sample.seen, V), is_summed, claimed)

    def _fault(self, look: Look) -> str:
        key = (id(look.sample.points), len(look.question.V), look.is_summed)
        if key not in self._truths:
            self._truths[key] = look.question.answer()
        truth, seen = self._truths[key], look.sample.seen
        tracked = torch.is_grad_enabled()
        leaf = seen.clone().requires_grad_() if tracked and self.x.requires_grad else seen
        ending = ends(look.question.f, leaf) if tracked else None
        given = look.claimed(leaf).to(seen.dtype)
        if fault := _value_fault(look, truth, given.detach()):
            return fault
        if ending is None or precision(seen) not in STEPS or not bool(truth.is_known.any()):
            return ""
        return self._gradient_fault(key, look, truth, given, leaf, ending)

    def _gradient_fault(self, key: object, look: Look, truth: Truth, given: Tensor, leaf: Tensor, ending: Ends) -> str:
        line = Line.through(leaf, ending.leaves)
        if not line.leaves:
            return ""
        known = truth.is_known.all(0)
        weights = torch.linspace(1, 2, known.numel(), dtype=given.dtype, device=given.device).view_as(known) * known
        weighted = (torch.where(known, given, 0) * weights).sum()
        try:
            mine = line.gradients(weighted)
        except REFUSALS as error:
            return f"has no gradient: {' '.join(str(error).split()).split('. ')[0]}"
        tolerance = TOLERANCE[given.dtype]
        found, size = line.contracted(mine)

        def total(points: Tensor) -> Tensor:
            return look.question.total(points, truth, weights)

        if key not in self._slopes:
            is_seen = not ending.goes_beyond and not line.is_cut(look.question.f)
            self._slopes[key] = line.by_differences(total) if is_seen else UNKNOWN
            if is_seen and not self._slopes[key].is_known:  # a kink is near, as in a network of relu, and none nearer
                self._slopes[key] = line.by_differences(total, shrink=CLOSER)
        if (slope := self._slopes[key]).is_known:
            if slope.is_near(found, size, tolerance):
                return self._leaf_fault(key, line, mine, total, truth)
            slope = self._slopes[key] = line.by_differences(total, is_steady=True)
            if slope.is_known and slope.is_near(found, size, tolerance):
                return self._leaf_fault(key, line, mine, total, truth)
        is_seen = slope.is_known
        if not is_seen or not (isfinite(found) or bool(truth.is_known.all())):
            # By autograd, where differences do not see what is meant, or see a kink; and where a row at an edge leaves
            # no gradient to any.
            own = None if self._gap(frozenset({"rules", "reverse"}), False) else self._own_slope(line, total, truth)
            if own is None and not is_seen:
                return ""
            if own is not None and (own != own or Slope(own).is_near(found, size, tolerance)):
                return ""
            slope = slope if own is None else Slope(own)
        share = abs(found - slope.value) / max(size, abs(slope.value), LEAST)
        if not share < torch.inf:
            return f"has a gradient that is not finite where the operator is smooth: {_EDGES}"
        return f"has a gradient in what f holds that is off by {share:.2g} of its size"

    def _leaf_fault(self, key: object, line: Line, given: list[Tensor], total: Function, truth: Truth) -> str:
        """What is wrong in the gradient of one leaf, too little of all for a line through all of them to show.

        Leaf by leaf against autograd; where they differ, differences along that leaf alone decide.
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
        for number, (mine, own) in enumerate(zip(given, wanted, strict=True)):
            size = float(own.abs().max()) if own.numel() else 0.0
            if not size < torch.inf or bool(((mine - own).abs() <= allowed * size + LEAST_GRADIENT).all()):
                continue
            alone = line.along(number)
            slope = alone.by_differences(total, is_steady=True)
            found, terms = alone.contracted([mine])
            if slope.is_known and not slope.is_near(found, terms, TOLERANCE[dtype]):
                share = abs(found - slope.value) / max(terms, abs(slope.value), LEAST)
                return f"has a gradient in what f holds that is off by {share:.2g} of its size in one tensor"
        return ""

    @staticmethod
    def _own_slope(line: Line, total: Function, truth: Truth) -> float | None:
        """The slope by autograd; None where that cannot differentiate f so often."""
        if bool(truth.by_differences.any()):
            return None
        try:
            return line.by_autograd(total(line.points))[0]
        except REFUSALS:
            return None


def _value_fault(look: Look, truth: Truth, given: Tensor) -> str:
    expected, size = look.summed(truth.forms), truth.size
    if given.shape != expected.shape:
        return f"gives {tuple(given.shape[1:])} for {tuple(expected.shape[1:])}"
    if bool((look.summed(truth.is_nan).bool() & given.isfinite()).any()):
        return f"gives a finite number where reverse mode gives none: {_EDGES}"
    known = truth.is_known.all(0) if look.is_summed else truth.is_known
    loose = truth.by_differences.any(0) if look.is_summed else truth.by_differences
    dtype = precision(look.question.points)
    share = torch.where(loose, TOLERANCE.get(dtype, 1.0), torch.finfo(dtype).eps ** POWER_OF_EPS)
    # Where all terms are 0 rounding may leave some units of numbers about 1.
    noise = look.summed(truth.noise) + ROUNDINGS * torch.finfo(dtype).eps * (size == 0)
    off = ((given - expected).abs() - noise).clamp_min(0)
    bad = known & ~(off <= share * size)
    if bool(bad.any()):  # what one unit in the last place of x changes is rounding's, but where autograd has no say
        slack = (ROUNDINGS * look.summed(look.question.rounding())).clamp_max(MOST_ROUNDING * size)
        slack = torch.maximum(slack, look.question.least(size))
        bad = bad & (loose | ~(off <= share * size + slack))
    if not bool(bad.any()):
        return ""
    terms = f"the sum of |{'H' if look.question.order == 2 else 'J'}_ii|"
    if not bool(given[bad].isfinite().all()):
        return f"gives no finite number where f is smooth: {_EDGES}"
    if bool((bad & (size == 0)).any()):
        return f"gives {float(given[bad & (size == 0)].abs().max()):.2g} where {terms} is 0"
    return f"is off by {float((off / size)[bad].max()):.2g} of {terms}"


def _random_state(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    return [*states, torch.get_device_module(device).get_rng_state(device)] if device.type != "cpu" else states
