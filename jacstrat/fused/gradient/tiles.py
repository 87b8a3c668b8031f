"""What of a network's gradient fits into one kernel, and how its work is divided."""

from __future__ import annotations

from torch import Tensor

from jacstrat.fused.narrow import SHARED_BYTES, WIDEST, Tiles, matrices, parts_of
from jacstrat.fused.network import Network
from jacstrat.fused.spec import Spec, padded

# Points of a tile, as few as a product takes: weights both ways round and their gradients stand in the registers of a
# program, and what is kept of each layer of a tile stands beside them.
POINTS = 16
# Columns from which on a program has 8 warps, and not 4: warps that have no columns of their own do what others do.
WIDE = 64
# What matrices may take of the registers of a multiprocessor, which has half as many: the rest is spilled in the loop.
REGISTER_BYTES = 2 * 256 * 1024


def misfit(spec: Spec) -> str:
    """Why the gradient of a network that is narrow has no kernel; "" where it has one.

    Directions meet each matrix both ways round, and its gradient is added up beside it. Both stand in shared memory,
    with three tiles that are turned; but as halves of TF32 in registers, with the gradient.
    """
    shapes = matrices(spec.network)
    numbers = sum(out * width for out, width in shapes)
    itemsize = {"float64": 8, "float32": 4}.get(spec.dtype, 2)
    if spec.dtype == "float32" and spec.products != "ieee":
        taken, most, place = (2 * 8 + 4) * numbers, REGISTER_BYTES, "registers"
    else:
        turned = 3 * POINTS * sum(max(shape) for shape in shapes) * max(itemsize, 4)
        taken, most, place = 2 * itemsize * numbers + turned, SHARED_BYTES, "shared memory"
    if taken > most:
        return f"its matrices take {taken // 1024} KiB of {place} on the way back, and may take {most // 1024}"
    return ""


def tiles(network: Network, points: int, directions: int, x: Tensor) -> Tiles:
    """Tiles of points, and parts of the directions.

    Args:
        network: What is computed.
        points, directions: How many there are.
        x: A tensor on the points' device.
    """
    widest = max(padded(vector.width) for vector in network.vectors if vector.width <= WIDEST)
    return Tiles(POINTS, parts_of(-(-points // POINTS), directions, x), 8 if widest >= WIDE else 4)
