"""A Dask cluster as a pool. Workers are threads of this process where that will do; one test starts real ones."""

from __future__ import annotations

import asyncio
import json
import math
from concurrent.futures import Future
from contextlib import suppress
from types import SimpleNamespace

import distributed
import psutil
import pytest
from distributed.scheduler import KilledWorker

from jacstrat import read_records
from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.dispatch.cluster import MOST_IDLE, PLUGIN, Cluster, ClusterError, pooled, vetting
from jacstrat.harness.dispatch.job import Done, Job
from jacstrat.harness.dispatch.worker import versions, work
from jacstrat.harness.plan.sweep import Grid, Sweep
from jacstrat.harness.run import Options, run
from jacstrat.measure.sampling import Settings
from jacstrat.record import Record
from tests.harness.conftest import mine
from tests.harness.test_run import Log

GRID = Grid(("sin", "linear"), ("divergence",), ("identity", "vmap"), n=(2, 4), batch=(1, 2), threads=(1,))
SWEEP = Sweep((GRID,), sample_s=0.01)
CASES = sorted(case.key for cell in SWEEP.cells() for case in cell.cases)


def fake(job: Job, run: str, place: str, scratch: str) -> Done:
    records = [Record.of(case, "ok", median_s=0.1) for case in job.cell.cases]
    found = tuple(Outcome(record.case, record, {"seconds": [0.1]}) for record in records)
    return Done(found, "kind-host", place, {"packages": {}, "place": place})


def failing(job: Job, run: str, place: str, scratch: str) -> Done:
    raise OSError("no space left")


@pytest.fixture
def workers():
    """Two workers in this process, and a client."""
    options = {"processes": False, "protocol": "tcp", "dashboard_address": None, "threads_per_worker": 1}
    with (
        distributed.LocalCluster(n_workers=2, host="127.0.0.1", **options) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def pool(client, do=fake, wait_s=5.0, tell=print) -> Cluster:
    return Cluster(client, "inproc", wait_s, lambda case: None, tell, do)


class Ready:
    """A pool as a with block that is there already."""

    def __init__(self, pool: Cluster) -> None:
        self.pool = pool

    def __enter__(self) -> Cluster:
        return self.pool

    def __exit__(self, *_: object) -> None: ...


def go(directory, pool: Cluster, log: Log | None = None, **options) -> Log:
    log = log or Log()
    run(SWEEP, directory, log, Options(**options), lambda: {"machine": "client"}, Ready(pool))
    return log


def test_the_client_writes_what_workers_measure_and_resumes(tmp_path, workers) -> None:
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, pool(workers), Log(interrupt_after=3))
    assert len(read_records(tmp_path)) == 3
    log = go(tmp_path, pool(workers), resume=True)
    assert log.begun == (3, 16)
    frame = read_records(tmp_path)
    assert sorted(frame["case"]) == CASES
    assert set(frame["machine"]) == {"kind-host"}
    _, session = json.loads((tmp_path / "environment.json").read_text())
    assert session["workers"].keys() == {"kind-host"}
    assert session["start"] == session["end"] == {"machine": "client"}
    assert go(tmp_path, pool(workers), resume=True).records == []

    failed = go(tmp_path / "failed", pool(workers, failing)).records
    assert sorted(record.case for record in failed) == CASES
    assert {(r.status, r.reason) for r in failed} == {("error", "the worker could not measure: OSError: no space left")}


def test_a_scheduler_that_is_lost_ends_the_run_and_rows_stand(tmp_path, workers) -> None:
    class Losing(Log):
        def finished(self, record) -> None:
            super().finished(record)
            if len(self.records) == 2:
                workers.cluster.close()

    with pytest.raises(ClusterError, match="the scheduler is gone at inproc; what was finished is on disk"):
        go(tmp_path, pool(workers), Losing())
    assert 2 <= len(read_records(tmp_path)) < len(CASES)


def test_a_scheduler_of_which_nothing_is_known_has_no_workers(workers, monkeypatch) -> None:
    """As a client says for a moment after the scheduler has gone."""
    one = pool(workers)
    monkeypatch.setattr(workers, "scheduler_info", dict)
    one._seen = (-1.0, {"worker": {"cpu"}})
    assert (one.workers(), one.room("cpu", {})) == (0, False)


def test_a_worker_of_other_versions_gets_no_job_and_both_are_named(tmp_path, workers) -> None:
    told: list[str] = []
    one = pool(workers, wait_s=0.3, tell=told.append)
    assert one.workers() == 2
    workers.register_plugin(vetting(versions() | {"torch": "1.13.0"}), name=PLUGIN)
    with pytest.raises(ClusterError, match="no worker for 0.3 s at inproc; what was finished is on disk"):
        go(tmp_path, one)
    mine = versions()["torch"]
    assert len(told) == 2
    assert all(line.endswith(f"is refused: it has torch {mine}, here 1.13.0") for line in told)
    assert len(read_records(tmp_path)) == 0


def test_cells_for_a_card_wait_for_a_worker_that_has_one(workers) -> None:
    one = pool(workers)
    device = Job(SWEEP.cells()[0], Settings(), 1.0)
    assert one.room("cpu", {})
    assert not one.room("cuda", {})
    under_way = {Future(): device, Future(): device}
    assert not one.room("cpu", under_way)
    (worker, _) = workers.scheduler_info()["workers"]

    async def with_card(dask_worker) -> None:
        await dask_worker.set_resources(cuda=1)

    workers.run(with_card, workers=[worker])
    one._seen = (-1.0, {})
    assert one.room("cuda:1", {})


def test_what_kills_worker_after_worker_is_a_row_and_what_died_with_it_is_not(workers) -> None:
    one = pool(workers)
    job = Job(SWEEP.cells()[0], Settings(), 1.0)

    def killed() -> Future:
        future: Future = Future()
        future.set_exception(KilledWorker("task", SimpleNamespace(name="node3"), 3))
        one._begun[future] = 0.0
        one._keys[future] = "key"
        return future

    assert one.result(killed(), job) is None
    found = one.result(killed(), job)
    assert [(o.record.status, o.record.reason) for o in found.outcomes] == [
        ("crashed", "8 workers died on this cell, the last one at node3")
    ] * 2


def test_what_kills_the_only_worker_again_and_again_is_a_row(workers) -> None:
    """Each time it is at no worker for a while, and submitted again as another task."""
    job = Job(SWEEP.cells()[0], Settings(), 1.0)

    async def with_none(dask_worker) -> None:
        await dask_worker.set_resources(measuring=0)

    async def kill_two(key: str, dask_scheduler) -> None:
        while key not in dask_scheduler.tasks or dask_scheduler.tasks[key].state != "no-worker":
            await asyncio.sleep(0.01)
        dask_scheduler.tasks[key].suspicious = 2

    one = pool(workers)
    workers.run(with_none)
    # The worker that is back.
    one._seen = (math.inf, {"worker": {"cpu"}})

    def lost() -> Done | None:
        future = one.submit(job, "")
        workers.run_on_scheduler(kill_two, one._keys[future])
        while not one._stranded([future]):
            pass
        return one.result(future, job)

    # As the scheduler allows three.
    assert [lost(), lost(), lost()] == [None] * 3
    found = lost()
    assert found is not None
    assert [(o.record.status, o.record.reason) for o in found.outcomes] == [
        ("crashed", "8 workers died on this cell")
    ] * 2
    assert one._lost == {}


def test_a_job_whose_deaths_nobody_knows_is_submitted_again(workers) -> None:
    one = pool(workers)
    job = Job(SWEEP.cells()[0], Settings(), 1.0)
    one._deaths[job.cell.key] = 4
    future: Future = Future()
    one._begun[future], one._keys[future], one._idle[future] = 0.0, "key", MOST_IDLE
    assert one.result(future, job) is None


def test_jobs_that_were_ready_before_a_worker_had_its_resources_are_done(tmp_path, workers) -> None:
    """As after the last worker is lost: the scheduler looks at such jobs when a worker comes, not when it has any."""

    class Forgetting(Log):
        submitted = 0

        def attending(self, case) -> None:
            self.submitted += 1
            if self.submitted == 1:
                workers.run(with_none)

        def under_way(self, cells: int, workers_: int) -> None:
            # The job goes to the scheduler by a way of its own: resources that came first would find it a worker.
            if self.submitted == 1 and not restored:
                workers.run_on_scheduler(until_one_has_no_worker)
                workers.register_plugin(vetting(versions()), name=PLUGIN)
                restored.append(True)

    async def with_none(dask_worker) -> None:
        await dask_worker.set_resources(measuring=0)

    async def until_one_has_no_worker(dask_scheduler) -> None:
        while not any(task.state == "no-worker" for task in dask_scheduler.tasks.values()):
            await asyncio.sleep(0.01)

    restored: list[bool] = []
    log = Forgetting()
    one = Cluster(workers, "tcp", 20.0, log.attending, print, fake)
    sweep = SWEEP.override(problems=("sin",), batch=(1,), n=(2,))
    run(sweep, tmp_path, log, Options(), dict, Ready(one))
    assert [record.status for record in log.records] == ["ok", "ok"]
    # Once again, or more often where the scheduler is slow to give it to a worker.
    assert log.submitted >= 2


def test_a_card_that_a_worker_claims_and_has_not_is_a_row(tmp_path, workers) -> None:
    async def with_card(dask_worker) -> None:
        await dask_worker.set_resources(cuda=1)

    one = pool(workers, do=work)
    workers.run(with_card)
    one._seen = (-1.0, {})
    sweep = SWEEP.override(problems=("sin",), batch=(1,), n=(2,), device=("cuda",))
    run(sweep, tmp_path, log := Log(), Options(isolate=False), dict, Ready(one))
    assert {record.status for record in log.records} == {"skipped"}
    assert all("device cuda is not available; here: cpu" in record.reason for record in log.records)
    assert len(log.records) == 2


@pytest.mark.long
def test_real_workers_measure_in_children_and_listen_on_the_loopback_alone(tmp_path) -> None:
    told: list[str] = []
    listening: set[str] = set()

    class Looking(Log):
        def under_way(self, cells: int, workers: int) -> None:
            here = psutil.Process()
            for process in [here, *here.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):  # the crashing cell's children come and go meanwhile
                    sockets = process.net_connections("inet")
                    listening.update(socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN)

    sweep = Sweep((Grid((mine("exits"), "sin"), ("divergence",), ("vmap",), n=(2,), threads=(1,)),), sample_s=0.01)
    run(sweep, tmp_path, log := Looking(), Options(), dict, pooled("local:1", 60, log.attending, told.append))
    rows = {row.problem: row for row in read_records(tmp_path).itertuples()}
    assert (rows["sin"].status, rows[mine("exits")].status) == ("ok", "crashed")
    (session,) = json.loads((tmp_path / "environment.json").read_text())
    assert list(session["workers"]) == [rows["sin"].machine]
    assert listening == {"127.0.0.1"}
    assert told[0].startswith("Dask dashboard at http://127.0.0.1:")
