"""How much of a sweep is not measuring."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from jacstrat.core.case import Case
from jacstrat.harness.plan.sweep import Grid, Sweep
from jacstrat.harness.run import Options, run
from jacstrat.measure.environment import snapshot
from jacstrat.record import Record
from jacstrat.records import read_records, read_samples

from . import probe
from .figure import Figure

OUTSIDE = 0.3


def outside(sizes: tuple[int, ...] = (2, 4, 8, 16), sample_s: float = Sweep(()).sample_s) -> list[Figure]:
    """The share of a run's wall time in which no child prepares, checks, counts, warms up or runs a block.

    The wall time is that of `run`, from the call to the return: the environment, the start of the fork server and of
    every child, the cells' points and references, the garbage collected before sampling, the stopping rule between
    blocks, and the writing of rows are all outside.

    Args:
        sizes: Values of n, each 50 small cases in 10 cells.
        sample_s: As in the sweep.
    """
    with tempfile.TemporaryDirectory() as folder:
        # The probe writes beside itself.
        file = Path(shutil.copy(probe.__file__, folder))
        sweep = small_cases(str(file), sizes, sample_s)
        directory = file.with_name("run")
        begin = time.perf_counter()
        run(sweep, directory, Silent(), Options(), lambda: snapshot().to_json())
        wall_s = time.perf_counter() - begin
        frame = read_records(directory)
        if reasons := set(frame["reason"][frame["median_s"].isna()]):
            raise RuntimeError(f"a case of the sweep was not measured: {reasons.pop()}")
        blocks_s = sum(sum(one["seconds"]) * one["calls"] for one in read_samples(directory).values())
        return [judge(wall_s, len(sweep.cells()), spans(file.with_name(probe.SPANS)), blocks_s)]


def small_cases(problem_file: str, sizes: tuple[int, ...], sample_s: float) -> Sweep:
    """Two problems, five strategies and five batches at each size; tens to hundreds of microseconds a call."""
    grid = Grid(
        problems=(f"{problem_file}:sin", f"{problem_file}:linear"),
        operators=("divergence",),
        strategies=("identity", "ones", "vmap", "jvp", "jacrev"),
        n=sizes,
        batch=(1, 2, 4, 8, 16),
    )
    return Sweep((grid,), sample_s=sample_s)


def spans(file: Path) -> Counter[str]:
    """Seconds by what they were spent in, from the probe's file."""
    totals: Counter[str] = Counter()
    for line in file.read_text(encoding="utf-8").splitlines():
        span = json.loads(line)
        totals[span["name"]] += span["seconds"]
    return totals


def judge(wall_s: float, cells: int, inside_s: Mapping[str, float], blocks_s: float) -> Figure:
    """The figure, from the run's wall time, the probe's seconds, and those of the blocks in samples.jsonl."""
    prepare_s, warm_up_s = inside_s["prepare_case"], inside_s["warm_up"]
    share = 1 - (prepare_s + warm_up_s + blocks_s) / wall_s
    note = (
        f"of {wall_s:.1f} s with {cells} cells, {blocks_s:.1f} s in blocks, {warm_up_s:.1f} s warming up, "
        f"{prepare_s:.1f} s preparing, checking and counting"
    )
    return Figure("isolation", "share of a sweep of small cases outside measuring", share, OUTSIDE, "%", note=note)


class Silent:
    """An observer of a run that says nothing."""

    def started(self, done: int, total: int) -> None: ...

    def attending(self, case: Case) -> None: ...

    def under_way(self, cells: int, workers: int) -> None: ...

    def finished(self, record: Record) -> None: ...
