"""Peak memory of `taylor` in tiles against that of one tile."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from jacstrat.measure.memory import peak_bytes
from jacstrat.strategies import parse_strategy

from .cells import CPU, CellNetwork
from .figure import Figure

TILES, MOST = 8, 1.3


def memory(networks: Iterable[CellNetwork], device: str = CPU) -> list[Figure]:
    """The peak of TILES tiles over that of one, with the points and the results of all; the most of all cells."""
    ratios = {}
    for network in networks:
        for dtype in network.precisions:
            instance, tile = network.instance(dtype, device), max(network.batch // TILES, 1)
            f, x = instance.f, instance.x
            with torch.no_grad():
                evaluate = parse_strategy(f"taylor:tile={tile}").prepare("laplacian", f, x)
                whole, one = (_peak(evaluate, points) for points in (x, x[:tile]))
            allowed = one + x.nbytes + network.batch * x.itemsize
            ratios[f"{network.problem.name} {dtype}, {tile} points a tile"] = whole / allowed
    note = "; ".join(f"{name}: {value:.2f}" for name, value in ratios.items())
    what = "`taylor` in tiles: peak over that of one tile plus input and output, most"
    return [Figure("memory", what, max(ratios.values()), MOST, note=note)]


def _peak(evaluate, points: torch.Tensor) -> int:  # type: ignore[no-untyped-def]
    # Called once before, so that what is traced or kept for later does not count.
    evaluate(points)
    return peak_bytes(lambda: evaluate(points), points.device.type)
