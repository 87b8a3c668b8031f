"""The derivative of a number in the leaves of its graph, along one random direction: by differences or by autograd."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from jacstrat.strategies.cuts import has_cuts, nodes_of
from jacstrat.strategies.differences import Difference, along_line, roughly, steadily
from jacstrat.strategies.stand_ins import StandIns
from jacstrat.strategies.truth import REFUSALS, TOLERANCE
from jacstrat.trace.arguments import Function

# The gradient of what hardly depends on a leaf is compared with so much.
LEAST = 1e-10


class Slope(NamedTuple):
    """A derivative along a line.

    Fields:
        value: The number.
        is_known: Whether it is to be believed.
        noise: What it may be off by.
    """

    value: float
    is_known: bool = True
    noise: float = 0.0

    def is_near(self, derivative: float, size: float, tolerance: float) -> bool:
        """Whether another number is the same, as far as a share of the terms tells, of this size together."""
        return abs(derivative - self.value) <= tolerance * (size + abs(self.value)) + self.noise + LEAST


UNKNOWN = Slope(0.0, is_known=False)


@dataclass(frozen=True, eq=False)
class LeafLine:
    """A line through leaves.

    Fields:
        points: Where functions are evaluated; a leaf, too, where they require grad.
        leaves: Tensors that require grad.
        directions: In the shape of each, random, of its own size.
        reads: The function of points by which alone the leaves are read, where it is known, and cheaper than what is
            differed.
    """

    points: Tensor
    leaves: tuple[Tensor, ...]
    directions: tuple[Tensor, ...]
    reads: Function | None = None

    @classmethod
    def through(cls, points: Tensor, leaves: Iterable[Tensor], reads: Function | None = None) -> LeafLine:
        """The line through these leaves, and the points where they require grad."""
        leaves = (*leaves, *([points] if points.requires_grad else []))
        return cls(points, leaves, tuple(_direction(leaf, number) for number, leaf in enumerate(leaves)), reads)

    def by_autograd(self, total: Tensor) -> tuple[float, float]:
        """The derivative of a number with a graph, and the size of its terms.

        Raises:
            One of REFUSALS: Autograd cannot differentiate it.
        """
        return self.contracted(self.gradients(total))

    def contracted(self, gradients: list[Tensor]) -> tuple[float, float]:
        """The derivative along the line from the gradient in each leaf, and the size of its terms."""
        terms = [_product(g, d) for g, d in zip(gradients, self.directions, strict=True)]
        return float(sum(term.sum() for term in terms)), float(sum(term.square().sum() for term in terms)) ** 0.5

    def gradients(self, total: Tensor) -> list[Tensor]:
        """The gradient of a number with a graph in each leaf; raises as `by_autograd`."""
        gradients: Iterable[Tensor | None] = [None] * len(self.leaves)
        if total.requires_grad:
            # What f holds may have a graph of the caller's behind it.
            with warnings.catch_warnings():  # of a hook of a module that sees no gradient of its inputs here
                warnings.filterwarnings("ignore", "Full backward hook")
                gradients = torch.autograd.grad(total, self.leaves, allow_unused=True, retain_graph=True)
        return [
            torch.zeros_like(leaf) if g is None else _dense(g) for g, leaf in zip(gradients, self.leaves, strict=True)
        ]

    def along(self, number: int) -> LeafLine:
        """The line through one of the leaves alone."""
        leaves, directions = self.leaves[number : number + 1], self.directions[number : number + 1]
        return LeafLine(self.points, leaves, directions, self.reads)

    def by_differences(
        self, total: Function, is_steady: bool = False, shrink: float = 1.0, is_written: bool = False
    ) -> Slope:
        """The derivative of total(points), without a graph; by a share of the step, or with `is_steady` by several.

        Other tensors stand in for the leaves; with `is_written`, and where these are seen not to reach all, the leaves
        are written to. They reach no second run of f, as a checkpoint has it on the way back.
        """
        dtype = self.points.dtype
        if is_steady:
            return self._moving(total, lambda value: steadily(value, 1, dtype), is_written)
        return self._moving(total, lambda value: along_line(value, 1, dtype, shrink), is_written)

    def roughly(self, total: Function) -> Slope:
        """The derivative by two evaluations: what is near it needs no better one, and what is not is not yet wrong."""
        return self._moving(total, lambda value: roughly(value, self.points.dtype))

    def _moving(
        self, total: Function, differ: Callable[[Callable[[float], Tensor]], Difference], is_written: bool = False
    ) -> Slope:
        """The derivative that differences of total(points) give as the leaves move."""
        try:
            moved = self._written if is_written or not self._is_replaceable(total) else self._replaced

            def value(s: float) -> Tensor:
                with moved(s) as points:
                    return total(points)

            with torch.no_grad():
                slope, is_smooth, noise = differ(value)
        except REFUSALS:
            return UNKNOWN
        return Slope(float(slope), bool(is_smooth), float(noise))

    @property
    def is_hooked(self) -> bool:
        """Whether a hook may change the gradient of a leaf, as one that clips it."""
        return any(leaf._backward_hooks for leaf in self.leaves)

    def is_cut(self, f: Function) -> bool:
        """Whether f cuts off derivatives along the line, so that differences see what autograd is not meant to."""
        if not (self.is_hooked or has_cuts(f, self.points)):
            return False

        def weighted(points: Tensor) -> Tensor:
            y = f(points)
            return (y * torch.linspace(1, 2, y.numel(), dtype=y.dtype, device=y.device).view_as(y)).sum()

        slope = self.by_differences(weighted, is_steady=True)
        with torch.enable_grad():
            derivative, size = self.by_autograd(weighted(self.points))
        return not (slope.is_known and slope.is_near(derivative, size, TOLERANCE[self.points.dtype]))

    def _is_replaceable(self, total: Function) -> bool:
        """Whether all that total(points) reads of the leaves is seen, so that none of them is left in its graph."""
        with torch.enable_grad(), self._replaced(0.0) as points:
            nodes = nodes_of((self.reads or total)(points))
        return not {id(getattr(node, "variable", None)) for node in nodes} & set(map(id, self.leaves))

    @contextmanager
    def _replaced(self, s: float) -> Iterator[Tensor]:
        """The points, where others along the line stand in for the leaves, which other threads may be reading."""
        others = [
            (leaf.detach() + s * direction).requires_grad_()
            for leaf, direction in zip(self.leaves, self.directions, strict=True)
        ]
        points = next(
            (other for leaf, other in zip(self.leaves, others, strict=True) if leaf is self.points), self.points
        )
        with StandIns(self.leaves, others):
            yield points.detach()

    @contextmanager
    def _written(self, s: float) -> Iterator[Tensor]:
        """The points, with the leaves moved along the line, and back to the bit.

        By `.data`, so that no graph of the caller's takes it for a write, and nothing is left of it in any case.
        """
        before = [leaf.data.clone() for leaf in self.leaves]
        try:
            for leaf, direction in zip(self.leaves, self.directions, strict=True):
                leaf.data.add_(direction, alpha=s)
            yield self.points.detach()
        finally:
            for leaf, value in zip(self.leaves, before, strict=True):
                leaf.data.copy_(value)


def _product(g: Tensor, d: Tensor) -> Tensor:
    """By how much a number with this gradient changes along d: of complex numbers that of both parts."""
    if g.is_complex() or d.is_complex():
        return (g.to(torch.complex128).conj() * d).real
    return g.double() * d.double()


def _dense(g: Tensor) -> Tensor:
    """A gradient with all its numbers, as of the rows of an embedding that were looked up."""
    return g if g.layout == torch.strided else g.to_dense()


def _direction(leaf: Tensor, number: int) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    dtype = torch.complex128 if leaf.is_complex() else torch.float64
    noise = torch.randn(leaf.shape, generator=generator, dtype=dtype, device="cpu").to(leaf)
    size = float(leaf.detach().abs().square().mean().sqrt()) if leaf.numel() else 0.0
    return noise * (min(size, 1.0) or 1.0)
