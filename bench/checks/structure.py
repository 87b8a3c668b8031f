"""What one probe a colour saves over n, and how long it takes to find the colours."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from .figure import Figure

if TYPE_CHECKING:
    import pandas as pd

SPARSE = ("bratu", "burgers", "lorenz96")
# One probe an index, whatever the structure.
OTHERS = ("identity", "vmap", "jvp")
PRODUCTS, TIMES, DETECTION_S = 100, 30, 5.0


def coloring(quick: bool) -> list[Figure]:
    """Products and time of `coloring` against the best of the others, in the same run of the harness."""
    from jacstrat.harness.plan.sweep import Grid, Sweep
    from jacstrat.harness.run import Options, run
    from jacstrat.measure.environment import snapshot
    from jacstrat.records import read_records

    from .outside import Silent

    grid = Grid(SPARSE, ("divergence",), (*OTHERS, "coloring"), n=(16 if quick else 4096,))
    sweep = Sweep((grid,), sample_s=0.02 if quick else 10.0, timeout_s=600)
    with tempfile.TemporaryDirectory() as folder:
        run(sweep, Path(folder), Silent(), Options(isolate=not quick), lambda: snapshot().to_json())
        return judge(read_records(folder))


def judge(frame: pd.DataFrame) -> list[Figure]:
    """The figures of each problem, from the records of a run."""
    if not (right := frame["status"] == "ok").all():
        raise RuntimeError(f"a case has no right result: {frame['reason'][~right].iloc[0]}")
    figures = []
    for problem, rows in frame.groupby("problem", sort=False):
        cases = rows.set_index("strategy")
        mine, others = cases.loc["coloring"], cases.drop("coloring")
        products = cases["vjp_products"] + cases["jvp_products"]
        fewer = products.drop("coloring").min() / products["coloring"]
        best = others.loc[others["median_s"].idxmin()]
        # By round where coloring is the fastest, which all others are then measured over.
        faster = best["over_fastest"] if mine["over_fastest"] == 1 else best["median_s"] / mine["median_s"]
        at = f"of {problem}, n = {mine['n']}"
        note = f"{products['coloring']} against {products.drop('coloring').min()} products"
        figures.append(
            Figure("coloring", f"times fewer products {at}", float(fewer), PRODUCTS, at_least=True, note=note)
        )
        note = (
            f"{mine['median_s'] * 1e3:.3g} ms against {best['median_s'] * 1e3:.4g} ms of {best.name}, the next; "
            f"prepared in {mine['prepare_s'] * 1e3:.3g} ms, first call included"
        )
        figures.append(Figure("coloring", f"times faster {at}", float(faster), TIMES, at_least=True, note=note))
    return figures


def detection(quick: bool) -> list[Figure]:
    """Seconds from a function to its pattern and colours at n = 10^5, nothing imported on the way."""
    import torch

    from jacstrat import PROBLEMS, detect_structure

    n = 100 if quick else 100_000
    # Imports, and the table of decompositions, which a process makes once.
    detect_structure(torch.sin, torch.ones(1, 2))
    figures = []
    for name in SPARSE:
        instance = PROBLEMS[name].instance(n, 1)
        begin = time.perf_counter()
        structure = detect_structure(instance.f, instance.x)
        seconds = time.perf_counter() - begin
        figures.append(Figure("detection", f"of {name}, n = {n}", seconds, DETECTION_S, "ms", note=str(structure)))
    return figures


CHECKS: Mapping[str, Callable[[bool], list[Figure]]] = MappingProxyType({"coloring": coloring, "detection": detection})
