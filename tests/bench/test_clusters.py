"""Dask clusters that go wrong: what is wrong with the rows of one, and that each scenario is played."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from bench.checks import cluster, clusters
from bench.checks.cluster import ClusterBench, benched
from bench.checks.clusters import SCENARIOS, dask, faults
from jacstrat.core.case import Case
from jacstrat.harness.plan.cases import Cell
from jacstrat.record import Record
from jacstrat.records import RecordWriter

CELL = Cell("sin", "divergence", 2, 1, "float64", "cpu", "evaluate", 1, 0, ("identity", "vmap"))
FIRST, SECOND = CELL.cases


def written(folder: Path, *records: Record) -> ClusterBench:
    """A bench whose run has left these rows."""
    bench = ClusterBench(folder, "mark")
    bench.out.mkdir()
    with RecordWriter(bench.out) as writer:
        for record in records:
            writer.write(record)
    return bench


def row(case: Case, status: str = "ok", reason: str = "") -> Record:
    return Record.of(case, status, reason, median_s=1e-5) if status == "ok" else Record.of(case, status, reason)


def test_a_whole_run_has_no_fault(tmp_path: Path) -> None:
    bench = written(tmp_path, row(FIRST), row(SECOND))
    assert bench.rows() == 2
    assert list(faults(bench, (0, "worker is refused"), 2, "is refused")) == []


@pytest.mark.parametrize(
    ("records", "ended", "wrong"),
    [
        ((row(FIRST),), (0, ""), "1 rows of 1 cases, 2 are due"),
        ((row(FIRST), row(FIRST)), (0, ""), "2 rows of 1 cases, 2 are due"),
        ((row(FIRST), row(SECOND)), (2, "gone"), "exit code 2: gone"),
        ((row(FIRST), row(SECOND)), (None, ""), "exit code None: "),
        ((row(FIRST), row(SECOND)), (0, "Traceback (most recent call last)"), "a traceback"),
        ((row(FIRST), row(SECOND, "crashed", "died")), (0, ""), "cases are crashed: died"),
    ],
)
def test_each_fault_is_told(tmp_path: Path, records, ended, wrong: str) -> None:
    assert list(faults(written(tmp_path, *records), ended, 2)) == [wrong]


def test_what_is_not_said_is_a_fault(tmp_path: Path) -> None:
    bench = written(tmp_path, row(FIRST), row(SECOND))
    assert list(faults(bench, (0, "x"), 2, "is refused")) == ["it does not say 'is refused'"]


def test_a_scenario_is_a_figure_and_what_it_starts_ends(monkeypatch) -> None:
    started = []

    def scenario(bench: ClusterBench):
        """a scenario"""
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(1000)"
        started.append(psutil.Process(bench._start(["-c", code], {}).pid))
        yield "a fault"

    monkeypatch.setattr(clusters, "SCENARIOS", {"scenario": scenario})
    for module in (cluster, clusters):
        monkeypatch.setattr(module, "GRACE_S", 0.2)
    (figure,) = dask(("scenario",))
    assert (figure.value, figure.met, figure.note) == (1, False, "a fault")
    assert figure.what.startswith("a scenario: ")
    assert not started[0].is_running()


def test_the_scheduler_is_at_the_same_port_each_time() -> None:
    with benched("mark") as bench:
        assert bench.address == f"tcp://127.0.0.1:{bench.port}"
        assert not cluster._listens(bench.port)
        assert bench.folder.is_dir()
    assert not bench.folder.exists()


def test_every_scenario_says_what_it_is() -> None:
    assert len(SCENARIOS) == 7
    assert all(one.__doc__ and "\n" not in one.__doc__ for one in SCENARIOS.values())
