"""What of a network's gradient fits into one kernel, and how its work is divided."""

from __future__ import annotations

from torch import Tensor

from jacstrat.fused import narrow
from jacstrat.fused.narrow import SHARED_BYTES, WIDEST, Tiles, matrices, parts_of
from jacstrat.fused.network import Network
from jacstrat.fused.spec import Spec, padded

# Points of a tile unless others are asked for, as few as a product takes: weights both ways round and their gradients
# stand in the registers of a program, and what is kept of each layer of a tile stands beside them.
POINTS = 16
# Columns from which on a program of such a tile has 8 warps, and not 4; of a larger one from as many numbers on. Warps
# that have no numbers of their own do what others do.
WIDE = 64


def misfit(spec: Spec, points: int = POINTS) -> str:
    """Why the gradient of a network has no single kernel; "" where it has one.

    Directions meet each matrix both ways round, and its gradient is added up beside it. Both stand in shared memory,
    with three tiles that are turned; but as halves of TF32 in registers, with the gradient, and what these have no room
    for is spilled: with the most matrices that the kernel of results takes, a fifth of the instructions of the loop.
    """
    itemsize = {"float64": 8, "float32": 4}.get(spec.dtype, 2)
    fault = narrow.misfit(spec.network, itemsize)
    if fault or (spec.dtype == "float32" and spec.products != "ieee"):
        return fault
    taken = sum(
        2 * itemsize * out * width + 3 * points * max(out, width) * max(itemsize, 4)
        for out, width in matrices(spec.network)
    )
    if taken > SHARED_BYTES:
        most = SHARED_BYTES // 1024
        return f"its matrices take {taken // 1024} KiB of shared memory both ways, and a program has {most}"
    return ""


def tiles(network: Network, points: int, directions: int, x: Tensor, size: int = POINTS) -> Tiles:
    """Tiles of points, and parts of the directions.

    Args:
        network: What is computed.
        points, directions: How many there are.
        x: A tensor on the points' device.
        size: Points of a tile.
    """
    return Tiles(size, parts_of(-(-points // size), directions, x), warps_of(network, size))


def warps_of(network: Network, size: int) -> int:
    """Warps of a program that takes so many points."""
    widest = max(padded(vector.width) for vector in network.vectors if vector.width <= WIDEST)
    return 8 if size * widest >= POINTS * WIDE else 4
