"""A worker: one cell at a time in a measuring slot, its versions told without an import, children in any case."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import cloudpickle
import pytest

from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.dispatch import worker
from jacstrat.harness.dispatch.job import Job
from jacstrat.harness.dispatch.worker import slot, slot_name, versions, work
from jacstrat.measure.environment import MACHINE_VARIABLE, host_id
from jacstrat.measure.sampling import Settings
from jacstrat.record import Record
from tests.harness.conftest import QUICK, mine

THREADS = 4


@pytest.fixture(autouse=True)
def _locks_of_its_own(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(worker, "gettempdir", lambda: str(tmp_path))


def most_at_once(monkeypatch, tmp_path, jobs: list[Job]) -> int:
    """How many of the jobs measured at the same time, each done by a worker of its own on this machine."""
    counting, now, most = threading.Lock(), 0, 0
    begin = threading.Barrier(len(jobs))

    def measured(job: Job, references, children) -> list[Outcome]:
        nonlocal now, most
        with counting:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with counting:
            now -= 1
        return [Outcome(case.key, Record.of(case, "ok"), None) for case in job.cell.cases]

    def do(job: Job) -> int:
        begin.wait()
        return len(work(job, "run", "here", str(tmp_path)).outcomes)

    worker.here()
    monkeypatch.setattr(worker, "outcomes", measured)
    with ThreadPoolExecutor(len(jobs)) as executor:
        assert list(executor.map(do, jobs)) == [len(job.cell.strategies) for job in jobs]
    return most


def test_workers_that_share_a_machine_take_turns_at_its_slot(monkeypatch, tmp_path, cell) -> None:
    assert most_at_once(monkeypatch, tmp_path, [Job(cell("sin"), Settings(), 1)] * THREADS) == 1


def test_a_card_each_is_a_slot_each(monkeypatch, tmp_path, cell) -> None:
    """Which also shows that the test above would see it."""
    jobs = [Job(cell("sin", device=f"cuda:{card}"), Settings(), 1) for card in range(THREADS)]
    assert most_at_once(monkeypatch, tmp_path, jobs) > 1


def test_a_slot_is_free_again_after_an_error(tmp_path, cell) -> None:
    with pytest.raises(RuntimeError, match="no"), slot(cell("sin"), tmp_path):
        raise RuntimeError("no")
    with slot(cell("sin"), tmp_path):
        pass


@pytest.mark.parametrize(
    ("device", "visible", "name"),
    [
        ("cpu", "3", ""),
        ("cuda", None, "-cuda-0"),
        ("cuda:1", None, "-cuda-1"),
        ("cuda", "3", "-cuda-3"),
        ("cuda:1", "3,5", "-cuda-5"),
        ("cuda", "GPU-1a/2", "-cuda-GPU-1a-2"),
        ("xpu", None, "-xpu-0"),
    ],
)
def test_a_slot_is_named_by_the_machine_and_its_card(monkeypatch, device, visible, name) -> None:
    monkeypatch.setattr(worker, "_uuid", lambda number: None)
    monkeypatch.setenv(MACHINE_VARIABLE, "node7-socket0")
    monkeypatch.delenv(worker.VISIBLE_CARDS, raising=False)
    if visible is not None:
        monkeypatch.setenv(worker.VISIBLE_CARDS, visible)
    assert slot_name(device) == host_id() + name
    monkeypatch.setenv(MACHINE_VARIABLE, "node7-socket1")
    assert slot_name(device) == host_id() + name


def test_a_card_is_named_by_what_is_its_own(monkeypatch) -> None:
    """Each job of a cluster may see its card as number 0."""
    monkeypatch.setenv(worker.VISIBLE_CARDS, "0")
    monkeypatch.setattr(worker, "_uuid", lambda number: f"GPU-{number}f")
    assert slot_name("cuda") == f"{host_id()}-cuda-GPU-0f"


def test_a_job_is_measured_by_a_daemonic_process_too(monkeypatch, tmp_path, cell) -> None:
    """Dask's nannies mark their workers as daemonic, and multiprocessing lets such a process have no child."""
    config = multiprocessing.current_process()._config
    monkeypatch.setitem(config, "daemon", True)
    job = Job(cell(mine("exits"), "vmap"), QUICK, 20.0)
    done = work(job, "run", "tcp://here", str(tmp_path))
    assert config["daemon"]
    assert [outcome.record.status for outcome in done.outcomes] == ["crashed"]
    assert (done.machine, done.ran_on) == (worker.here()[0].id, "tcp://here")
    assert done.environment["warnings"] == list(done.environment["warnings"])


def test_references_are_kept_for_a_run(tmp_path) -> None:
    first = worker._references("one", str(tmp_path))
    assert worker._references("one", str(tmp_path)) is first
    worker._references("two", str(tmp_path))
    assert [path.name.split("-")[1] for path in tmp_path.iterdir()] in (["two"], ["one", "two"], ["two", "one"])
    worker._references.cache_clear()


def test_versions_are_told_without_importing_what_they_are_of() -> None:
    code = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if path is not None and name.startswith("jacstrat.") or name == "torch":
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
import pickle
print(pickle.load(sys.stdin.buffer)())
"""
    done = subprocess.run([sys.executable, "-c", code], input=cloudpickle.dumps(versions), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    found = versions()
    assert done.stdout.decode().strip() == str(found)
    assert found["jacstrat"].startswith(f"{version('jacstrat')} (sources ")
    assert found["torch"] == version("torch").split("+")[0]
