"""Gradients at points by a kernel, and what programs wrote of them added up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from jacstrat.fused.gradient.sinks import Layout
from jacstrat.fused.gradient.spec import GradientSpec
from jacstrat.fused.kernels import Kernel
from jacstrat.fused.narrow import Tiles
from jacstrat.fused.network import ConstantVector, InputVector, LinearVector
from jacstrat.fused.operands import Ready, rows_of

# What programs may write of sums at a time; more points are taken in parts.
MOST_BYTES = 2**28


class Cotangents(NamedTuple):
    """Of what an operator gives.

    Fields:
        result: (B,), or (B, n) of a diagonal.
        value: (B, width of the output); None for zeros.
        gradient: (B, n); None for zeros.
    """

    result: Tensor
    value: Tensor | None = None
    gradient: Tensor | None = None

    def rows(self, is_point: bool) -> Cotangents:
        """In memory as kernels read them, row by row; of a single point there is one."""
        whole = (None if one is None else one.unsqueeze(0) if is_point else one for one in self)
        return Cotangents(*(None if one is None else one.contiguous() for one in whole))  # type: ignore[arg-type]

    def of(self, rows: slice) -> Cotangents:
        """Those of some of the points."""
        return Cotangents(*(None if one is None else one[rows] for one in self))  # type: ignore[arg-type]


@dataclass(eq=False)
class Gradients:
    """What gradients a kernel found; those that it did not are zero.

    Fields:
        x: (B, n).
        operands: In the shape of each, by number.
        seeds: (K, width) each, by vector.
    """

    x: Tensor | None
    operands: dict[int, Tensor]
    seeds: dict[int, Tensor]

    def to_x(self, part: Tensor) -> None:
        self.x = part if self.x is None else self.x + part

    def to_operand(self, number: int, part: Tensor) -> None:
        self.operands[number] = self.operands[number] + part if number in self.operands else part

    def add(self, other: Gradients, of_points: frozenset[int]) -> None:
        """Those at further points; operands of each point, and x, have further rows."""
        for number, one in other.operands.items():
            parts = (self.operands[number], one)
            self.operands[number] = torch.cat(parts) if number in of_points else parts[0] + parts[1]
        for number, one in other.seeds.items():
            self.seeds[number] = self.seeds[number] + one
        if self.x is not None and other.x is not None:
            self.x = torch.cat((self.x, other.x))


def gradients(
    kernel: Kernel, layout: Layout, spec: GradientSpec, x: Tensor, ready: Ready, at: Cotangents, tiling: Tiles
) -> Gradients:
    """Gradients of all points, in parts where programs would write too much.

    Args:
        kernel, layout: Those of the spec.
        spec: What is wanted.
        x: Points, (B, n), contiguous.
        ready: Operands and seeds, with the strides of the spec.
        at: Cotangents, contiguous.
        tiling: How work is divided.
    """
    rows_along = ready.directions * sum((*layout.seeds.values(), *layout.entries.values()))
    size = max(1, MOST_BYTES // (8 * (layout.size * tiling.parts + rows_along + 1))) * tiling.points

    def part(x: Tensor, ready: Ready, at: Cotangents) -> Gradients:
        return _part(kernel, layout, spec, x, ready, at, tiling)

    return in_parts(size, part, spec, x, ready, at)


def in_parts(
    size: int,
    part: Callable[[Tensor, Ready, Cotangents], Gradients],
    spec: GradientSpec,
    x: Tensor,
    ready: Ready,
    at: Cotangents,
) -> Gradients:
    """Gradients of all points, of which there is one at least, added up over so many at a time."""
    whole: Gradients | None = None
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        some = ready if size >= len(x) else rows_of(ready, spec.network, rows)
        found = part(x[rows], some, at.of(rows))
        if whole is None:
            whole = found
        else:
            whole.add(found, spec.of_points)
    assert whole is not None
    return whole


def _part(
    kernel: Kernel, layout: Layout, spec: GradientSpec, x: Tensor, ready: Ready, at: Cotangents, tiling: Tiles
) -> Gradients:
    B, K = len(x), ready.directions
    part = -(-K // tiling.parts)
    tiles, parts = -(-B // tiling.points), -(-K // part)
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32

    def empty(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=x.device)

    sums = empty(tiles * parts, layout.size)
    seeds = {number: empty(tiles, K, width) for number, width in layout.seeds.items()}
    entries = {number: empty(tiles, K, width) for number, width in layout.entries.items()}
    points = {number: empty(parts, B, width) for number, width in layout.points.items()}
    adjoints = {number: empty(B, width) for number, width in layout.adjoints.items()}
    cotangents = (x if one is None else one for one in at)
    groups = (seeds, entries, points, adjoints)
    written = (sums, *(one for group in groups for one in group.values()))
    tensors = (x, *ready.operands, *ready.seeds, *cotangents, *written)
    kernel.launch((tiles, parts), tensors, (B, K, part), {"P": tiling.points}, tiling.warps)
    found = Gradients(None, {}, {number: one.sum(0) for number, one in seeds.items()})
    flat, offset = sums.sum(0), 0
    for number, (rows, columns) in layout.sums.items():
        found.to_operand(number, flat[offset : offset + rows * columns].view(rows, columns))
        offset += rows * columns
    for number, one in entries.items():
        found.to_operand(number, one.sum(0))
    for number, g in adjoints.items():
        _outside(spec, number, g, at.gradient, found)
    for number, parts_of_points in points.items():
        _at_points(spec, number, parts_of_points.sum(0), x, ready.operands, found)
    return found


def _at_points(
    spec: GradientSpec, number: int, U: Tensor, x: Tensor, operands: Sequence[Tensor], found: Gradients
) -> None:
    """Hand on a vector's U, (B, width): to x or an operand of each point, or through matrices in front of it."""
    network = spec.network
    vector = network.vectors[number]
    if isinstance(vector, InputVector):
        found.to_x(U)
    elif isinstance(vector, ConstantVector):
        found.to_operand(vector.operand, U)
    elif isinstance(vector, LinearVector):
        for term in vector.terms:
            if not spec.is_outside(term, number):
                continue
            assert term.operand is not None
            source = network.vectors[term.source]
            rows = operands[source.operand] if isinstance(source, ConstantVector) else x
            if term.operand in spec.operands:
                found.to_operand(term.operand, term.factor * (U.mT @ rows.to(U.dtype)))
            if term.source in spec.needed():
                bar = term.factor * (U @ operands[term.operand].to(U.dtype))
                if isinstance(source, ConstantVector):
                    found.to_operand(source.operand, bar)
                else:
                    found.to_x(bar)


def _outside(spec: GradientSpec, number: int, g: Tensor, c: Tensor | None, found: Gradients) -> None:
    """What matrices in front of a vector get from its g, (B, width), and the cotangent of the gradient in x."""
    vector = spec.network.vectors[number]
    assert isinstance(vector, LinearVector)
    assert c is not None
    for term in vector.terms:
        if term.source == 0 and spec.is_outside(term, number) and term.operand in spec.operands:
            found.to_operand(term.operand, term.factor * (g.mT @ c.to(g.dtype)))
