"""Sweeps past one machine: throughput of fake cases, workers killed at random, merging, and plans on a fake clock."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

from jacstrat.core.case import Case, F
from jacstrat.harness.dispatch.job import Done, Job
from jacstrat.harness.plan.costs import estimate, in_words
from jacstrat.harness.plan.predict import Forecast, Prediction
from jacstrat.harness.plan.sweep import Grid, Sweep, load_sweep
from jacstrat.harness.run import Options, run
from jacstrat.record import Record
from jacstrat.records import RecordWriter, read_records

from .figure import Figure

WORKERS = 4
CASE_S = 0.05
# As many as a strategy of the quick sweep has in the median.
SAMPLES = 25


class Quiet:
    """An observer that only counts."""

    rows = 0

    def started(self, done: int, total: int) -> None: ...

    def attending(self, case: Case) -> None: ...

    def under_way(self, cells: int, workers: int) -> None: ...

    def finished(self, record: Any) -> None:
        self.rows += 1


def sweep_of(cases: int, a_cell: int = 1, sizes: int = 4) -> Sweep:
    """A sweep of so many cases, so many of them a cell, in lines of `sizes` cells; what it names is not measured."""
    specs = tuple(f"vmap:chunk_size={size}" for size in range(1, a_cell + 1))
    batches = tuple(range(1, cases // (a_cell * sizes) + 1))
    n = tuple(2**power for power in range(sizes))
    return Sweep((Grid(("sin",), ("divergence",), specs, n, batches, threads=(1,)),))


def sleeping(case_s: float) -> Callable[[Job, str, str, str], Done]:
    """What does a job by sleeping in its slot; made within a function, so that pickle sends it whole."""
    samples = {"seconds": [case_s] * SAMPLES, "rounds": list(range(SAMPLES)), "session": "0"}

    def do(job: Job, run: str, address: str, scratch: str) -> Done:
        import time

        from jacstrat.harness.cell.outcomes import Outcome
        from jacstrat.harness.dispatch.job import Done
        from jacstrat.harness.dispatch.worker import here, slot

        environment, described = here()
        outcomes = []
        with slot(job.cell):
            for case in job.cell.cases:
                time.sleep(case_s)
                outcomes.append(Outcome(case.key, Record.of(case, "ok", median_s=case_s), samples))
        return Done(tuple(outcomes), environment.id, address, described)

    return do


@contextmanager
def cluster_of(workers: int, case_s: float, allowed_failures: int):
    """Local workers that stand for as many machines, as a pool; and their nannies."""
    import distributed

    from jacstrat.harness.dispatch.cluster import Cluster
    from jacstrat.harness.dispatch.connection import local_cluster

    names = [f"machine {number}" for number in range(workers)]
    with (
        local_cluster(workers, names, allowed_failures) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(workers)
        pool = Cluster(client, "local", 120.0, lambda case: None, lambda line: None, sleeping(case_s))
        yield pool, cluster


@contextmanager
def _as_is(pool: Any):
    yield pool


def measured(sweep: Sweep, pool: Any) -> tuple[float, Path, TemporaryDirectory[str]]:
    """Seconds of a run, and where it wrote."""
    folder = TemporaryDirectory()
    begin = time.perf_counter()
    run(sweep, Path(folder.name), Quiet(), Options(), dict, _as_is(pool))
    return time.perf_counter() - begin, Path(folder.name), folder


def throughput(quick: bool) -> list[Figure]:
    """Fake cases on workers that stand for machines, one case a cell and ten a cell, against no overhead at all."""
    cases, figures = (80, 2000)[not quick], []
    with cluster_of(WORKERS, CASE_S, 3) as (pool, _):
        # The first job of a worker imports torch, and says what machine it is.
        measured(sweep_of(8 * WORKERS), pool)
        for a_cell in (1, 10):
            seconds, folder, kept_bytes = measured(sweep_of(cases, a_cell), pool)
            with kept_bytes:
                rows = len(read_records(folder))
            what = f"{cases} cases of {CASE_S * 1e3:g} ms on {WORKERS} workers, {a_cell} a cell"
            share = rows * CASE_S / WORKERS / seconds
            overhead_s = seconds * WORKERS / rows - CASE_S
            note = f"{rows / seconds * 3600:.3g} cases an hour"
            figures.append(
                Figure("throughput", f"{what}: share of the ideal", share, 0.9, "%", at_least=True, note=note)
            )
            figures.append(Figure("throughput", f"{what}: overhead a case", overhead_s, CASE_S / 9, "ms"))
    return figures


def kills(quick: bool) -> list[Figure]:
    """Workers killed at random moments while they measure: each case has one row all the same."""
    cases, wanted, case_s = (24, 2, 0.2) if quick else (200, 10, 0.2)
    rng, ended, done = random.Random(0), threading.Event(), 0

    def kill(nannies: Any) -> None:
        nonlocal done
        while done < wanted and not ended.wait(rng.uniform(0.2, 1.5)):
            pids = [nanny.pid for nanny in nannies() if nanny.pid]
            if pids:
                os.kill(rng.choice(pids), signal.SIGKILL)
                done += 1

    with cluster_of(WORKERS, case_s, 3) as (pool, cluster), ExitStack() as stack:
        killer = threading.Thread(target=kill, args=(lambda: list(cluster.workers.values()),))
        killer.start()
        stack.callback(killer.join)
        stack.callback(ended.set)
        sweep = sweep_of(cases)
        _, folder, kept_bytes = measured(sweep, pool)
        stack.enter_context(kept_bytes)
        frame = read_records(folder)
    asked = {case.key for cell in sweep.cells() for case in cell.cases}
    what = f"{cases} cases on {WORKERS} workers"
    status = frame["status"].value_counts().to_dict()
    return [
        Figure("kills", f"{what}: workers killed while it ran", done, wanted, at_least=True),
        Figure("kills", f"{what}: cases without a row", len(asked - set(frame["case"])), 0, note=f"statuses: {status}"),
        Figure("kills", f"{what}: rows too many", len(frame) - frame["case"].nunique(), 0),
    ]


def merging(quick: bool) -> list[Figure]:
    """Shards of a large sweep, one row in ten in two of them, written as runs write them and merged."""
    from jacstrat.harness.merge import merge

    cases, shards = (2000, 4) if quick else (100_000, 4)
    sweep = sweep_of(cases, a_cell=10, sizes=10)
    with TemporaryDirectory() as name:
        folder = Path(name)
        parts = [_shard(folder / str(part), replace(sweep, shard=f"{part}/{shards}")) for part in range(1, shards + 1)]
        parts.append(_shard(folder / "again", replace(sweep, shard="1/10")))
        begin = time.perf_counter()
        merged = merge(parts, folder / "all", "csv")
        seconds = time.perf_counter() - begin
        merge([folder / "all"], folder / "parquet", "parquet")
        sizes = {
            file: (folder / where / file).stat().st_size / merged.rows
            for where, file in (("all", "records.csv"), ("parquet", "records.parquet"), ("all", "samples.jsonl"))
        }
    text = ", ".join(f"{file} {size:.0f} bytes a case" for file, size in sizes.items())
    what = f"{merged.rows} cases of {len(parts)} directories"
    return [
        Figure("merging", f"{what}: time", seconds, 30.0, note=f"{merged.overlapping} overlapping; {text}"),
        Figure("merging", f"{what}: cases missing", merged.missing, 0),
        Figure("merging", f"{what}: cases found to overlap", merged.overlapping, cases / 10, at_least=True),
    ]


def _shard(folder: Path, sweep: Sweep) -> Path:
    """A directory as a run of the sweep would leave it."""
    folder.mkdir()
    (folder / "sweep.toml").write_text(sweep.to_toml())
    (folder / "environment.json").write_text("[]")
    rng = random.Random(folder.name)

    def times(names: tuple[str, ...] | range) -> dict[Any, float]:
        return {name: rng.uniform(1e-5, 1e-3) for name in names}

    series = [list(times(range(SAMPLES)).values()) for _ in range(100)]
    with_times = ("median_s", "q1_s", "q3_s", "min_s", "ci_low_s", "ci_high_s", "f_median_s", "prepare_s")
    with_times += ("cost_ratio", "cost_ratio_low", "cost_ratio_high", "over_fastest", "abs_error", "rel_error")
    counted = {"samples": SAMPLES, "vjp_products": 16, "aten_ops": 80, "flops": 10**6, "peak_bytes": 10**6}
    counted |= {"reference": "closed form in numpy.longdouble", "machine": "4795fe7e-32d81620", "exact": False}

    def samples() -> dict[str, Any]:
        seconds = rng.choice(series)
        rounds = list(range(SAMPLES))
        return {"session": "0123abcd", "calls": 7, "rounds": rounds, "seconds": seconds, "host_s": seconds}

    with RecordWriter(folder) as writer:
        for cell in sweep.cells():
            writer.write_samples(cell.case(F).key, samples())
            for case in cell.cases:
                writer.write_samples(case.key, samples())
                writer.write(Record.of(case, "ok", **counted, **times(with_times)))
    return folder


def planning(quick: bool) -> list[Figure]:
    """10^5 cases on 64 workers with a GPU each, the run's own driver on a fake clock; calls of 10 ms."""
    cases, workers = (2000, 8) if quick else (100_000, 64)
    sweep = sweep_of(cases, a_cell=10, sizes=10).override(device=("cuda",))
    prediction = Prediction(peak_bytes=10**6, flops=10**10, aten_ops=100)
    forecasts = [Forecast(case, prediction) for cell in sweep.cells() for case in cell.cases]
    begin = time.perf_counter()
    estimated = estimate(sweep, forecasts, workers)
    took = time.perf_counter() - begin
    busy = estimated.busy_s / (workers * estimated.seconds)
    note = f"{in_words(estimated, workers)} Simulated in {took:.1f} s."
    what = f"{cases} cases on {workers} workers: share of the time that workers are busy"
    return [Figure("planning", what, busy, 0.9, "%", at_least=True, note=note)]


def model(quick: bool) -> list[Figure]:
    """A real sweep on this machine, against what `jacstrat plan --workers 1` says of it."""
    from jacstrat.harness.plan.planning import plan

    sweep = load_sweep("quick").override(threads=(1,), sample_s=0.05 if quick else 0.25)
    sweep = sweep.override(n=(2, 4)) if quick else sweep
    said_s = estimate(sweep, list(plan(sweep)), 1).seconds
    with TemporaryDirectory() as name:
        begin = time.perf_counter()
        run(sweep, Path(name), Quiet(), Options(), dict)
        seconds = time.perf_counter() - begin
    note = f"{seconds:.1f} s, the plan said {said_s:.1f} s"
    factor = max(seconds / said_s, said_s / seconds)
    return [Figure("model", "the quick sweep: factor between its time and the plan's", factor, 2.0, note=note)]


CHECKS: Mapping[str, Callable[[bool], list[Figure]]] = MappingProxyType(
    {"throughput": throughput, "kills": kills, "merging": merging, "planning": planning, "model": model}
)
