"""One kernel for a whole network: what fits, in which tiles, and its launch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from jacstrat.fused.kernels import Kernel, interprets
from jacstrat.fused.network import LinearVector, Network
from jacstrat.fused.operands import Ready
from jacstrat.fused.spec import Spec, is_chunked, padded

# The widest tile, and what matrices may take of the shared memory of a program. All that directions meet stand there
# for the whole loop, in float32 as two halves each; beside them, before it, the largest once more the other way round.
WIDEST, SHARED_BYTES = 128, 208 * 1024
# Bytes of an entry there, by those that it has in memory.
ENTRY_BYTES = {8: 8, 4: 8, 2: 2}
# Points of a tile, the most and the least that a product takes.
MOST_POINTS, LEAST_POINTS = 64, 16
# Programs that a device is to have for each of its multiprocessors before directions are split no more, and the fewest
# directions of a part: forward and back are done again in each.
PROGRAMS, LEAST_DIRECTIONS = 2, 4
# Why a network goes layer by layer that was taken to fit.
NO_ROOM = "this card has no room for it"
# Multiprocessors of what is interpreted: so few that directions are split in some tests, and in others not.
INTERPRETED = 2


class Tiles(NamedTuple):
    """How work is divided.

    Fields:
        points: Of a tile.
        parts: Of the directions.
        warps: Of a program.
    """

    points: int
    parts: int
    warps: int


def misfit(network: Network, itemsize: int) -> str:
    """Why a network is no single kernel; "" where it is."""
    widths = [vector.width for number, vector in enumerate(network.vectors) if not is_chunked(network, number)]
    return misfit_of(max(widths), matrices(network), itemsize)


def misfit_of(widest: int, shapes: Sequence[tuple[int, int]], itemsize: int) -> str:
    """As `misfit`, of the widest layer and the matrices that directions meet, rows and columns with padding."""
    if widest > WIDEST:
        return f"a layer of {widest} is wider than {WIDEST}"
    numbers = [out * width for out, width in shapes]
    taken = ENTRY_BYTES[itemsize] * (sum(numbers) + max(numbers, default=0))
    if taken > SHARED_BYTES:
        return f"its matrices take {taken // 1024} KiB of shared memory, and a program has {SHARED_BYTES // 1024}"
    return ""


def matrices(network: Network) -> list[tuple[int, int]]:
    """Rows and columns, with padding, of each matrix that directions meet."""
    return [
        (padded(vector.width), padded(network.vectors[term.source].width))
        for vector in network.vectors
        if isinstance(vector, LinearVector)
        for term in vector.terms
        if term.is_dense and not network.fixed[term.source] and vector.width > 1
    ]


def tiles(network: Network, points: int, directions: int, x: Tensor, most: int | None = None) -> Tiles:
    """How many points a program takes, and into how many parts directions are split.

    Args:
        network: What is computed.
        points, directions: How many there are.
        x: A tensor of the points' type and on their device.
        most: Points of a tile; by rule where not given.
    """
    widest = max(padded(vector.width) for vector in network.vectors if vector.width <= WIDEST)
    size = most or (MOST_POINTS if x.element_size() < 8 else MOST_POINTS // 2)
    while most is None and size > LEAST_POINTS and -(-points // size) < PROGRAMS * processors_of(x):
        size //= 2
    return Tiles(size, parts_of(-(-points // size), directions, x), 8 if size * widest >= 64 * 128 else 4)


def parts_of(programs: int, directions: int, x: Tensor) -> int:
    """Into how many parts directions are split, where so many programs take all of them; x is on their device."""
    return max(1, min(directions // LEAST_DIRECTIONS, PROGRAMS * processors_of(x) // max(1, programs)))


def processors_of(x: Tensor) -> int:
    """Multiprocessors of the device of a tensor."""
    return INTERPRETED if interprets() else torch.cuda.get_device_properties(x.device).multi_processor_count


def tell_of_tile(points: int | None, what: str, fault: str) -> None:
    """Warn who asked for points of a tile that something goes layer by layer, where there are no tiles."""
    if points is not None:
        text = f"fused:tile={points}: {what} go layer by layer, without tiles: {fault}; leave out tile"
        warnings.warn(text, stacklevel=2)


@dataclass(frozen=True, eq=False)
class KernelResult:
    """What a kernel gives.

    Fields:
        result: (B,), or (B, n) for a diagonal.
        value: (B, width of the output), where it was asked for.
        gradient: (B, n), where it was asked for.
    """

    result: Tensor
    value: Tensor | None
    gradient: Tensor | None


def launch(kernel: Kernel, spec: Spec, x: Tensor, ready: Ready, tiling: Tiles) -> KernelResult:
    """Run a kernel at x, (B, n), contiguous.

    Args:
        kernel: That of the spec.
        spec: What is computed.
        x: Points.
        ready: Operands and seeds, with the strides of the spec.
        tiling: How work is divided.
    """
    B, n = x.shape
    size, parts, warps = tiling
    part = -(-ready.directions // parts)
    parts = -(-ready.directions // part)
    is_diagonal = not spec.operator.is_trace
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    shape = (B, n) if is_diagonal else (B,) if parts == 1 else (parts, B)
    result = torch.empty(shape, dtype=dtype, device=x.device)
    width = spec.network.vectors[spec.network.output].width
    value = x.new_empty((B, width)) if spec.with_value else None
    gradient = x.new_empty((B, n)) if spec.with_gradient else None
    written = (result, x if value is None else value, x if gradient is None else gradient)
    tensors = (x, *ready.operands, *ready.seeds, *written)
    kernel.launch((-(-B // size), parts), tensors, (B, ready.directions, part), {"P": size}, warps)
    if parts > 1 and not is_diagonal:
        result = result.sum(0)
    return KernelResult(result if result.dtype == x.dtype else result.to(x.dtype), value, gradient)
