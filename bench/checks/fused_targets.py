"""What the fastest of ours is to reach on an H100, in time and over other libraries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from .figure import Figure
from .fused import FusedRow
from .laplacian import CARD_BEST, least, mean
from .measured import MeasuredCell
from .peers import CARD_FOLX, CARD_JET, best, ratios_over

# Seconds of a call in float32, by network.
TARGETS_S: Mapping[str, float] = MappingProxyType(
    {
        "tanh-10-64x3": 30e-6,
        "tanh-3-32x4": 110e-6,
        "tanh-50-256x4": 600e-6,
        "tanh-200-64x4": 200e-6,
        "tanh-1000-128x3": 250e-6,
        "tanh-50-768-768-512-512": 1000e-6,
        "gelu-layernorm-64-128x3": 900e-6,
        "attention-16x4-32": 1200e-6,
    }
)
# How many times faster than the best of the others: geometric mean and least, by dtype.
FASTER: Mapping[str, tuple[float, float]] = MappingProxyType({"float32": (2.3, 1.2), "float64": (1.8, 1.1)})
PEERS = (*CARD_JET, *CARD_FOLX)
# Of divergences, by cell of `fused.py`: seconds, and the time of a program over that of its graph.
DIVERGENCE, DIVERGENCE_S = "divergence 64-256-256-256-64 B2048 float32", 500e-6
SHALLOW, OVER_REPLAY = "divergence 64-256-64 B4096 float32", 1.3


def figures(cells: Sequence[MeasuredCell], rows: Sequence[FusedRow]) -> list[Figure]:
    """The figures of networks, measured with the peers beside them, and of the rows of `fused.py`."""
    by_dtype = {dtype: [cell for cell in cells if cell.name.endswith(f" {dtype}")] for dtype in FASTER}
    times = [_time(name, by_dtype["float32"]) for name in TARGETS_S]
    ratios = [figure for dtype, of_dtype in by_dtype.items() for figure in _faster(dtype, of_dtype)]
    return [*times, *ratios, *_divergences(rows), _ended(rows)]


def _time(network: str, cells: Sequence[MeasuredCell]) -> Figure:
    found = [cell for cell in cells if cell.name.partition(" ")[0] == network]
    strategy = best(found[0], CARD_BEST) if found else None
    call_s = found[0].records[strategy].median_s if strategy else None
    faults = "; ".join(dict.fromkeys(found[0].fault(one) for one in CARD_BEST)) if found else "not reached"
    what = f"a call on {network} in float32, the best of ours"
    note = f"{found[0].name}: by `{strategy}`" if strategy else faults
    return Figure("fused", what, math.nan if call_s is None else call_s, TARGETS_S[network], "us", note=note)


def _faster(dtype: str, cells: Sequence[MeasuredCell]) -> list[Figure]:
    """Over the best of every peer that the cells have."""
    ratios, notes = ratios_over(cells, CARD_BEST, lambda cell: [one for one in PEERS if one in cell.records])
    what = f"the best of ours, times faster than the best of folx, jet and jax's Hessian, {dtype}, {len(ratios)} cells"
    mean_target, least_target = FASTER[dtype]
    return [
        Figure("fused", f"{what}, geometric mean", mean(ratios), mean_target, at_least=True, note="; ".join(notes)),
        Figure("fused", f"{what}, least", least(ratios), least_target, at_least=True),
    ]


def _divergences(rows: Sequence[FusedRow]) -> list[Figure]:
    times = {(row.cell, row.spec): row.call_s for row in rows if row.call_s is not None}
    deep = {spec: call_s for (cell, spec), call_s in times.items() if cell == DIVERGENCE}
    fastest = min(deep, key=lambda spec: deep[spec], default=None)
    program, replay = (times.get((SHALLOW, spec)) for spec in ("compiled(chain)", "graphed(compiled(chain))"))
    over = program / replay if program and replay else math.nan
    note = "not measured" if fastest is None else f"by `{fastest}`"
    return [
        Figure("fused", DIVERGENCE, math.nan if fastest is None else deep[fastest], DIVERGENCE_S, "us", note=note),
        Figure("fused", f"{SHALLOW}, `compiled(chain)` over its graph", over, OVER_REPLAY),
    ]


def _ended(rows: Sequence[FusedRow]) -> Figure:
    without = [row for row in rows if row.call_s is None]
    note = "; ".join(f"{row.cell} {row.spec}: {row.reason}" for row in without)
    return Figure("fused", f"of {len(rows)} rows of kernels, those without a time", len(without), 0, note=note)
