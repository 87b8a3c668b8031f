"""Peak memory of `taylor` in tiles against that of one tile."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from jacstrat.measure.memory import peak_bytes
from jacstrat.strategies import parse_strategy

from .cells import CPU, CellNetwork
from .figure import Figure
from .laplacian import most

TILES, MOST = 8, 1.3


def memory(networks: Iterable[CellNetwork], device: str = CPU) -> list[Figure]:
    """The peak of TILES tiles over that of one, with the points and the results of all; the most of all cells."""
    ratios, notes = dict[str, float](), list[str]()
    for network in networks:
        for dtype in network.precisions:
            tile = max(network.batch // TILES, 1)
            name = f"{network.problem.name} {dtype}, {tile} points a tile"
            try:
                ratios[name] = _ratio(network, dtype, device, tile)
                notes.append(f"{name}: {ratios[name]:.2f}")
            except Exception as error:  # of any kind: on a card whose memory is taken, or that is lost to this process
                ratios[name] = math.nan
                notes.append(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:160]}")
    what = "`taylor` in tiles: peak over that of one tile plus input and output, most"
    return [Figure("memory", what, most([*ratios.values()]), MOST, note="; ".join(notes))]


def _ratio(network: CellNetwork, dtype: str, device: str, tile: int) -> float:
    instance = network.instance(dtype, device)
    f, x = instance.f, instance.x
    with torch.no_grad():
        evaluate = parse_strategy(f"taylor:tile={tile}").prepare("laplacian", f, x)
        whole, one = (_peak(evaluate, points) for points in (x, x[:tile]))
    return float(whole / (one + x.nbytes + network.batch * x.itemsize))


def _peak(evaluate, points: torch.Tensor) -> int:  # type: ignore[no-untyped-def]
    # Called once before, so that what is traced or kept for later does not count.
    evaluate(points)
    return peak_bytes(lambda: evaluate(points), points.device.type)
