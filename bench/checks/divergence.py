"""The divergence of networks with one and two hidden layers: does its time grow as one evaluation of f does?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .figure import Figure
from .laplacian import most
from .measured import NOT_THERE, MeasuredCell, shown
from .peers import best

OURS = STRATEGIES = ("chain",)
# On a card a call of few operations takes as long as its launches: ours as programs and as graphs, too.
CARD_OURS = ("chain", "compiled(chain)", "graphed(chain)", "graphed(compiled(chain))", "fused")
CARD_STRATEGIES = (*CARD_OURS, "vmap")
MOST_RATIO, GROWTH = 8.0, 1.0
# Growth is told from this n on: below it the time is that of starting operations.
FROM_N = 64


def divergence(cells: Sequence[MeasuredCell], ours: Sequence[str] = OURS) -> list[Figure]:
    """For each depth: the largest ratio to f of the best of ours in a cell, and the growth of that ratio from FROM_N to
    the largest n."""
    figures = []
    for depth in (1, 2):
        mine = [cell for cell in cells if cell.name.startswith(f"field{depth}-")]
        figures += _of_depth(f"{depth} hidden layer{'s' * (depth - 1)}", mine, ours)
    return figures


def _of_depth(layers: str, cells: Sequence[MeasuredCell], ours: Sequence[str]) -> list[Figure]:
    ratios, notes = [], []
    lines: dict[str, dict[int, float]] = {}
    for cell in cells:
        if (strategy := best(cell, ours)) is None:
            ratios.append(math.nan)
            notes.append(f"{cell.name}: {'; '.join(dict.fromkeys(cell.fault(one) for one in ours))}")
            continue
        record, summary = cell.records[strategy], cell.ratio(strategy, "f")
        ratios.append(summary.median if summary else math.nan)
        by = f" by `{strategy}`" if len(ours) > 1 else ""
        notes.append(f"{cell.name}: {(record.median_s or math.nan) * 1e3:.3g} ms{by}, {shown(summary)} times f")
        if summary and record.n >= FROM_N:
            lines.setdefault(record.dtype, {})[record.n] = summary.median
    growths = [by_n[max(by_n)] / by_n[min(by_n)] for by_n in lines.values() if len(by_n) > 1]
    note = NOT_THERE if any({*ours} <= {*cell.missing} for cell in cells) else "; ".join(notes)
    return [
        Figure("divergence", f"{layers}: most times the time of f", most(ratios), MOST_RATIO, note=note),
        Figure("divergence", f"{layers}: growth of that from n = {FROM_N} to the largest", most(growths), GROWTH),
    ]
