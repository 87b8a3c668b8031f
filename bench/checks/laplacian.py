"""The Laplacian of networks against torch.func's Hessian trace, and against the floor of bare matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import geometric_mean

from .figure import Figure
from .measured import NOT_THERE, MeasuredCell, floor_of, shown

OURS = ("taylor", "compiled(taylor)")
# `hessian` is torch.func.hessian at each point under vmap, and the trace of it.
HESSIAN = "hessian"
STRATEGIES = (*OURS, "vmap", "jvp:chunk_size=all", HESSIAN)
# On a card a call of few operations takes as long as its launches: ours as graphs, too. Kernels of our own serve some
# of the networks, and there stand beside them for the best of ours.
CARD_OURS = (*OURS, "graphed(taylor)", "graphed(compiled(taylor))")
CARD_BEST = (*CARD_OURS, "fused", "graphed(fused)")
CARD_STRATEGIES = (*CARD_BEST, "vmap", HESSIAN)
MEAN, LEAST, FLOOR = 6.0, 2.0, 1.5
# A floor of more than half of the time.
DOMINATED = 2.0


def hessian(cells: Sequence[MeasuredCell], ours: Sequence[str] = OURS) -> list[Figure]:
    """How many times faster than the Hessian trace, as a mean over the cells and in the least of them."""
    return [figure for strategy in ours for figure in _hessian(cells, strategy)]


def _hessian(cells: Sequence[MeasuredCell], strategy: str) -> list[Figure]:
    faster, notes = [], []
    for cell in cells:
        if fault := cell.fault(HESSIAN):
            notes.append(f"{cell.name}: not compared, {HESSIAN} is {fault}")
        elif fault := cell.fault(strategy):
            faster.append(math.nan)
            notes.append(f"{cell.name}: {fault}")
        else:
            summary = cell.ratio(HESSIAN, strategy)
            faster.append(summary.median if summary else math.nan)
            notes.append(f"{cell.name}: {_ms(cell, strategy)} against {_ms(cell, HESSIAN)}, {shown(summary)} times")
    note = NOT_THERE if any(strategy in cell.missing for cell in cells) else "; ".join(notes)
    what = f"times faster than torch.func's vmapped Hessian trace, `{strategy}`"
    return [
        Figure("hessian", f"{what}, geometric mean", mean(faster), MEAN, at_least=True, note=note),
        Figure("hessian", f"{what}, least", least(faster), LEAST, at_least=True),
    ]


def floor(cells: Sequence[MeasuredCell], ours: Sequence[str] = OURS) -> list[Figure]:
    """How many times the floor, in the cells where that is more than half of the time; the most of them."""
    figures = []
    for strategy in ours:
        dominated, notes = [], []
        for cell in cells:
            if "floor" not in cell.samples:
                continue
            if fault := cell.fault(strategy):
                dominated.append(math.nan)
                notes.append(f"{cell.name}: {fault}")
                continue
            record, summary = cell.records[strategy], cell.ratio(strategy, floor_of(strategy))
            if summary and summary.median < DOMINATED:
                dominated.append(summary.median)
            counted = record.flops / record.best_flops if record.flops and record.best_flops else math.nan
            notes.append(f"{cell.name}: {shown(summary)} times the floor, {counted:.3g} times the FLOPs")
        note = NOT_THERE if any(strategy in cell.missing for cell in cells) else "; ".join(notes)
        what = f"`{strategy}`: most times the floor, of {len(dominated)} cells where it is over half of the time"
        figures.append(Figure("floor", what, most(dominated), FLOOR, note=note))
    return figures


def mean(values: Sequence[float]) -> float:
    """The geometric mean; not a number where there is none, or one that is none."""
    return geometric_mean(values) if values and not any(map(math.isnan, values)) else math.nan


def least(values: Sequence[float]) -> float:
    """The smallest, likewise."""
    return min(values) if values and not any(map(math.isnan, values)) else math.nan


def most(values: Sequence[float]) -> float:
    """The largest, likewise."""
    return max(values) if values and not any(map(math.isnan, values)) else math.nan


def _ms(cell: MeasuredCell, strategy: str) -> str:
    median_s = cell.records[strategy].median_s
    return "not timed" if median_s is None else f"{median_s * 1e3:.3g} ms"
