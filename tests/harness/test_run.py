"""Runs into a directory: complete, readable at any moment, continued, never mixed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from filelock import FileLock

from jacstrat import UsageError, read_records
from jacstrat.harness.directory import LOCK, claimed
from jacstrat.harness.plan.sweep import Grid, Sweep, load_sweep
from jacstrat.harness.run import Options, run
from jacstrat.records import read_samples
from tests.harness.conftest import mine

SMALL_SWEEP = Sweep(
    (Grid(problems=("sin",), operators=("divergence",), strategies=("identity", "vmap", "hessian"), n=(2, 4)),),
    sample_s=0.01,
)


class Log:
    """An observer that remembers, and may interrupt after a number of rows."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.begun: tuple[int, int] | None = None
        self.records = []
        self.interrupt_after = interrupt_after

    def started(self, done: int, total: int) -> None:
        self.begun = (done, total)

    def attending(self, case) -> None:
        pass

    def under_way(self, cells: int, workers: int) -> None:
        pass

    def finished(self, record) -> None:
        self.records.append(record)
        if len(self.records) == self.interrupt_after:
            raise KeyboardInterrupt


def go(directory: Path, sweep: Sweep = SMALL_SWEEP, log: Log | None = None, **options) -> Log:
    log = log or Log()
    run(sweep, directory, log, Options(**{"isolate": False} | options), lambda: {"machine": "test"})
    return log


def test_a_directory_holds_all_that_was_asked_and_found(tmp_path) -> None:
    log = go(tmp_path / "new" / "dir")
    assert log.begun == (0, 6)
    directory = tmp_path / "new" / "dir"
    frame = read_records(directory)
    assert len(frame) == frame["case"].nunique() == len(log.records) == 6
    assert frame["status"].value_counts().to_dict() == {"ok": 4, "unsupported": 2}
    assert load_sweep(str(directory / "sweep.toml")) == SMALL_SWEEP.pinned()
    session = {"machine": "test"}
    assert json.loads((directory / "environment.json").read_text()) == [{"start": session, "end": session}]
    samples = read_samples(directory)
    measured = frame[frame["status"] == "ok"]
    assert set(samples) == set(measured["case"]) | {c.replace("/vmap/", "/f/") for c in measured["case"] if "vmap" in c}
    for row in measured.itertuples():
        assert row.samples == len(samples[row.case]["seconds"])
        assert row.min_s == min(samples[row.case]["seconds"])


def test_an_interrupted_run_is_readable_and_resumes_to_the_same_cases(tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, log=Log(interrupt_after=2))
    assert len(read_records(tmp_path)) == 2
    log = go(tmp_path, resume=True)
    assert log.begun == (2, 6)
    assert len(log.records) == 4
    frame = read_records(tmp_path)
    assert sorted(frame["case"]) == sorted(case.key for cell in SMALL_SWEEP.cells() for case in cell.cases)
    assert len(json.loads((tmp_path / "environment.json").read_text())) == 2
    assert go(tmp_path, resume=True).records == []


@pytest.mark.long(but_one_in=4)
@pytest.mark.parametrize("cut", [1, 7, 60, 150])
def test_a_half_written_last_line_is_repaired(tmp_path, cut: int) -> None:
    go(tmp_path)
    file = tmp_path / "records.csv"
    content = file.read_bytes()
    file.write_bytes(content[:-cut])
    samples = (tmp_path / "samples.jsonl").read_bytes()
    (tmp_path / "samples.jsonl").write_bytes(samples[:-3])
    assert len(read_records(tmp_path)) == 5
    assert len(go(tmp_path, resume=True).records) == 1
    frame = read_records(tmp_path)
    assert len(frame) == frame["case"].nunique() == 6


def test_a_header_cut_short_starts_afresh(tmp_path) -> None:
    go(tmp_path)
    file = tmp_path / "records.csv"
    file.write_bytes(file.read_bytes()[:20])
    assert len(go(tmp_path, resume=True).records) == 6
    assert len(read_records(tmp_path)) == 6


def test_results_are_not_overwritten(tmp_path) -> None:
    go(tmp_path)
    with pytest.raises(UsageError, match="holds records already; go on with --resume, or name another with --out"):
        go(tmp_path)


def test_another_number_of_threads_is_another_sweep(tmp_path) -> None:
    go(tmp_path)
    torch.set_num_threads(2)
    with pytest.raises(UsageError, match="threads was 1, asked is 2"):
        go(tmp_path, resume=True)


@pytest.mark.long(but_one_in=4)
@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"n": (2, 4, 8)}, "n was 2,4, asked is 2,4,8"),
        ({"seed": 3}, "seed was 0, asked is 3"),
        ({"operators": ()}, "operators was divergence, asked is left open"),
        ({"sample_s": 0.02}, "sample_s was 0.01, asked is 0.02"),
    ],
)
def test_another_sweep_is_refused_with_the_difference(tmp_path, change, difference: str) -> None:
    go(tmp_path)
    before = (tmp_path / "records.csv").read_bytes()
    with pytest.raises(UsageError, match=f"holds another sweep: {difference}; name another with --out"):
        go(tmp_path, SMALL_SWEEP.override(**change), resume=True)
    assert (tmp_path / "records.csv").read_bytes() == before


@pytest.mark.parametrize("isolate", [False, True])
def test_a_reference_is_found_once_a_run_and_does_not_outlive_it(tmp_path, monkeypatch, isolate: bool) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept: list[int] = []

    class Looking(Log):
        def finished(self, record) -> None:
            super().finished(record)
            kept.append(len(list(tmp_path.glob("jacstrat-*/*.npz"))))

    (grid,) = SMALL_SWEEP.grids
    sweep = replace(SMALL_SWEEP, grids=(replace(grid, problems=("linear",), n=(2,), workload=("evaluate", "train")),))
    log = go(tmp_path / "out", sweep, Looking(), isolate=isolate)
    assert {r.reference for r in log.records if r.status == "ok"} == {"closed form in numpy.longdouble"}
    assert kept == [1] * 6
    assert list(tmp_path.glob("jacstrat-*")) == []
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "interrupted", sweep, Log(interrupt_after=2), isolate=isolate)
    assert list(tmp_path.glob("jacstrat-*")) == []


def test_records_without_their_sweep_are_refused(tmp_path) -> None:
    go(tmp_path)
    (tmp_path / "sweep.toml").unlink()
    with pytest.raises(UsageError, match=r"sweep\.toml is missing"):
        go(tmp_path, resume=True)


def test_a_second_run_into_the_same_directory_is_refused(tmp_path) -> None:
    with FileLock(tmp_path / LOCK), pytest.raises(UsageError, match="is in use by another run"):
        go(tmp_path)


def test_a_directory_that_cannot_be_written_is_refused(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file/out cannot be written: Not a directory; name another with --out"):
        go(tmp_path / "file" / "out")


def hanging(timeout_s: float) -> Sweep:
    grid = Grid(
        problems=(mine("hangs_in_transform"),),
        operators=("divergence",),
        strategies=("identity", "vmap"),
        n=(2, 4, 8),
        threads=(1,),
    )
    return Sweep((grid,), sample_s=0.01, timeout_s=timeout_s)


@pytest.mark.long
def test_a_timeout_skips_larger_sizes_of_its_line_and_is_tried_again_on_request(tmp_path) -> None:
    go(tmp_path, hanging(0.5), isolate=True)
    rows = {(r.strategy, r.n): (r.status, r.reason) for r in read_records(tmp_path).itertuples()}
    assert rows["vmap", 2] == ("timeout", "no end after 0.5 s")
    assert rows["vmap", 4] == rows["vmap", 8] == ("skipped", "timeout at n = 2: no end after 0.5 s")
    assert {rows["identity", n][0] for n in (2, 4, 8)} == {"ok"}

    assert go(tmp_path, hanging(0.5), isolate=True, resume=True).records == []
    log = go(tmp_path, hanging(0.7), isolate=True, resume=True, retry=("timeout",))
    assert log.begun == (3, 6)
    assert [(r.n, r.status) for r in log.records] == [(2, "timeout"), (4, "skipped"), (8, "skipped")]
    assert log.records[1].reason == "timeout at n = 2: no end after 0.7 s"
    frame = read_records(tmp_path)
    assert len(frame) == frame["case"].nunique() == 6


def test_a_timeout_found_on_resuming_skips_larger_sizes_too(tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, hanging(0.5), Log(interrupt_after=2), isolate=True)
    log = go(tmp_path, hanging(0.5), isolate=True, resume=True)
    assert [(r.n, r.status) for r in log.records if r.strategy == "vmap"] == [(4, "skipped"), (8, "skipped")]


def test_a_failure_at_n_says_nothing_of_smaller_n(tmp_path) -> None:
    (grid,) = hanging(0.5).grids
    grids = (replace(grid, n=(4,)), replace(grid, n=(2,)))
    go(tmp_path, Sweep(grids, sample_s=0.01, timeout_s=0.5), isolate=True)
    rows = {(r.strategy, r.n): r.status for r in read_records(tmp_path).itertuples()}
    assert (rows["vmap", 2], rows["vmap", 4]) == ("timeout", "skipped")


SCRIPT = """
import sys
from pathlib import Path
from jacstrat.harness.run import Options, run
from jacstrat.harness.plan.sweep import load_sweep
from tests.harness.test_run import Log
log = Log()
print("ready", flush=True)
run(load_sweep(sys.argv[1]), Path(sys.argv[2]), log, Options(resume=True), dict)
"""


@pytest.mark.long
# By SIGTERM, which nothing handles here, it ends as by SIGKILL.
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_leaves_no_process_and_resumes(tmp_path, how: signal.Signals) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text(hanging(30).to_toml())
    root = Path(__file__).parents[2]
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(file), str(tmp_path / "out")],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    records = tmp_path / "out" / "samples.jsonl"
    descendants: list[psutil.Process] = []
    # Both import torch, which takes a minute where other work takes the cores.
    deadline = time.monotonic() + 240
    # Wait until the child has reached the strategy that hangs: server and child are there, no row yet.
    while time.monotonic() < deadline and len(descendants) < 2:
        descendants = psutil.Process(parent.pid).children(recursive=True)
        time.sleep(0.05)
    time.sleep(0.5)
    descendants = psutil.Process(parent.pid).children(recursive=True)
    assert len(descendants) >= 2
    assert records.exists()
    parent.send_signal(how)
    parent.wait(20)
    _, alive = psutil.wait_procs(descendants, timeout=10)
    assert alive == []
    log = go(tmp_path / "out", hanging(0.5), isolate=True, resume=True)
    assert log.begun == (0, 6)
    assert len(read_records(tmp_path / "out")) == 6


def test_of_runs_that_start_on_one_directory_at_once_one_has_it_and_the_others_are_told(tmp_path) -> None:
    begin, told = threading.Barrier(8), []

    def start(number: int) -> str:
        begin.wait()
        try:
            with claimed(tmp_path / "new" / "run"):
                end.wait(20)
                return "has it"
        except UsageError as error:
            told.append(str(error))
            if len(told) == 7:
                end.set()
            return "is told"

    end = threading.Event()
    with ThreadPoolExecutor(8) as executor:
        found = sorted(executor.map(start, range(8)))
    assert found == ["has it"] + ["is told"] * 7
    assert set(told) == {f"{tmp_path / 'new' / 'run'} is in use by another run; name another with --out"}
