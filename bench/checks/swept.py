"""`taylor` against the best other exact strategy, in every cell of a default sweep that was run before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from jacstrat.core.errors import UsageError
from jacstrat.records import by_round, read_records, read_samples
from jacstrat.statistics import ratio
from jacstrat.strategies import parse_strategy

from .cells import CPU
from .figure import Figure

OURS, MOST = "taylor", 1.1
CELL = ["problem", "operator", "n", "batch", "dtype", "device", "workload", "threads", "seed"]


def sweep(directory: Path, device: str = CPU) -> list[Figure]:
    """The largest ratio by round over the cells that have `taylor`, on one kind of device."""
    frame = read_records(directory)
    kind = device.partition(":")[0]
    of_kind = frame[frame["device"].str.partition(":")[0] == kind]
    source = "the default sweep" if kind == CPU else f"the sweep {directory.name}"
    return judge(of_kind, read_samples(directory), str(directory), source)


def judge(
    frame: pd.DataFrame,
    samples: Mapping[str, Mapping[str, Any]],
    where: str = "the records",
    source: str = "the default sweep",
) -> list[Figure]:
    """The figure, from records and raw samples.

    Exact is what is exact always: `ones` on a diagonal Hessian is right by the user's knowledge, not by its own.
    """
    ratios: dict[str, float] = {}
    for key, rows in frame.groupby(CELL, sort=False):
        by_strategy = rows.set_index("strategy")
        if OURS not in by_strategy.index:
            continue
        name = "/".join(str(part) for part in key)
        mine = by_strategy.loc[OURS]
        exact = [strategy for strategy in by_strategy.index if strategy != OURS and is_exact(strategy)]
        others = by_strategy.loc[exact].query("status == 'ok'")
        if mine["status"] != "ok":
            ratios[f"{name} ({mine['status']}: {mine['reason']})"] = math.inf
        elif len(others):
            best = others["median_s"].idxmin()
            ratios[f"{name} against {best}"] = _ratio(samples, mine, others.loc[best])
    if not ratios:
        raise UsageError(f"no cell in {where} has {OURS} beside another exact strategy; run `bash scripts/bench` first")
    slow = {name: value for name, value in ratios.items() if value > MOST}
    listed = "; ".join(f"{name}: {value:.2f}" for name, value in sorted(slow.items(), key=lambda pair: -pair[1]))
    note = f"{len(slow)} of {len(ratios)} cells are beyond the target" + (f": {listed}" if listed else "")
    what = f"`{OURS}` over the best other exact strategy in a cell of {source}, most"
    return [Figure("sweep", what, max(ratios.values()), MOST, note=note)]


def is_exact(spec: str) -> bool:
    """Whether a strategy is exact whatever the function."""
    strategy = parse_strategy(spec)
    return not strategy.stochastic and strategy.exact_when.startswith("always")


def _ratio(samples: Mapping[str, Mapping[str, Any]], mine: pd.Series, other: pd.Series) -> float:
    """By round where the samples of both are there, else of the medians."""
    both = [samples.get(row["case"]) for row in (mine, other)]
    if both[0] and both[1] and (summary := ratio(by_round(both[0]), by_round(both[1]))):
        return summary.median
    return float(mine["median_s"] / other["median_s"])
