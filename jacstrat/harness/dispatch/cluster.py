"""A Dask cluster as a pool. Dask schedules; here is what a cell asks of it."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import contextmanager, suppress
from typing import Any

from jacstrat.core.case import Case
from jacstrat.core.errors import JacstratError, in_words
from jacstrat.harness.dispatch.connection import connected, distributed  # which says how Dask is installed
from jacstrat.harness.dispatch.job import Done, Job, failed
from jacstrat.harness.dispatch.worker import versions, work

TOPIC = PLUGIN = "jacstrat"
# The resource that a worker has one of: a job takes its worker alone. One with a card has one of its kind, too.
MEASURING = "measuring"
TICK_S = 0.5
# Seen at no worker so often in a row, a job is submitted again: once or twice it may be on its way.
MOST_IDLE = 3
CONNECTED = ("running", "connecting")
# How many times the workers that the scheduler allows, and one more, may die on a cell before it gets the blame: what
# waited at a worker behind the one that killed it dies with it, and is to have another chance.
MOST_DEATHS = 2
# Where jobs take less than this, so many are at each worker, one at work and the others waiting: the way to the client
# and back is then not waited for, nor the next line of a worker that has come to the end of one.
SHORT_S, SHORT_JOBS = 1.0, 2


class ClusterError(JacstratError):
    """The scheduler or every worker is gone; what was finished is on disk."""


class Cluster:
    """The workers of a scheduler as a pool; those with other versions get no job.

    Args:
        client: Connected to the scheduler; closed by its owner.
        address: Of the scheduler, for messages.
        wait_s: How long to wait for a worker that can go on before the run is given up.
        attend: Told a case of each cell that is submitted.
        tell: Takes lines for the user.
        do: What a job is done by, at the worker; as `harness.dispatch.worker.work`.
    """

    def __init__(
        self,
        client: distributed.Client,
        address: str,
        wait_s: float,
        attend: Callable[[Case], object],
        tell: Callable[[str], object],
        do: Callable[[Job, str, str, str], Done] = work,
    ) -> None:
        self._client = client
        self._address = address
        self._wait_s = wait_s
        self._attend = attend
        self._tell = tell
        self._do = do
        self._run = uuid.uuid4().hex[:8]
        self._executor = client.get_executor(pure=False)
        self._deaths: Counter[str] = Counter()
        self._seen: tuple[float, Mapping[str, Collection[str]]] = (-1.0, {})
        self._alive_s = time.monotonic()
        self._begun: dict[Future[Done], float] = {}
        self._keys: dict[Future[Done], str] = {}
        # How often in a row a job was seen at no worker.
        self._idle: dict[Future[Done], int] = {}
        # Of jobs that are submitted again: how many workers have died on one, and how many the scheduler allows.
        self._lost: dict[Future[Done], tuple[int, int]] = {}
        self._short = False
        client.subscribe_topic(TOPIC, self._heard)
        try:
            client.register_plugin(vetting(versions()), name=PLUGIN)
        except Exception as error:
            raise ClusterError(f"a worker of {address} cannot be asked for its versions: {in_words(error)}") from None

    def room(self, device: str, under_way: Mapping[Future[Done], Job]) -> bool:
        kind = _kind(device)
        fitting = sum(kind in kinds for kinds in self._workers().values())
        taken = sum(kind in ("cpu", _kind(job.cell.device)) for job in under_way.values())
        return taken < fitting * (SHORT_JOBS if self._short else 1)

    def submit(self, job: Job, near: str) -> Future[Done]:
        kind = _kind(job.cell.device)
        resources = {MEASURING: 1} if kind == "cpu" else {MEASURING: 1, kind: 1}
        # A worker that has gone is named in vain: the job then goes to any other.
        where = {"workers": [near], "allow_other_workers": True} if near else {}
        self._attend(job.cell.case(job.cell.strategies[0]))
        future: Future[Done]
        try:
            key = f"{self._run}-{uuid.uuid4().hex}"
            future = self._executor.submit(at_worker, self._do, job, self._run, key=key, resources=resources, **where)
        except Exception:
            if self._client.status in CONNECTED:
                raise
            raise self._gone("the scheduler is gone") from None
        self._begun[future] = time.monotonic()
        self._keys[future] = key
        return future

    def wait(self, under_way: Collection[Future[Done]]) -> Collection[Future[Done]]:
        if under_way:
            done = wait(under_way, TICK_S, FIRST_COMPLETED).done or self._stranded(under_way)
        else:
            time.sleep(TICK_S)
            done = set()
        if done or any(self._workers().values()):
            self._alive_s = time.monotonic()
        if self._client.status not in CONNECTED:
            raise self._gone("the scheduler is gone")
        if time.monotonic() - self._alive_s > self._wait_s:
            raise self._gone(f"no worker for {self._wait_s:g} s")
        return done

    def result(self, future: Future[Done], job: Job) -> Done | None:
        took_s = time.monotonic() - self._begun.pop(future)
        del self._keys[future]
        if self._idle.pop(future, 0) >= MOST_IDLE:
            # Of a task that the scheduler does not know yet nothing is known.
            return self._blamed(job, *self._lost.pop(future)) if future in self._lost else None
        try:
            done = future.result()
        except CancelledError:
            raise self._gone("the scheduler is gone") from None
        except distributed.KilledWorker as error:
            allowed = error.allowed_failures
            return self._blamed(job, allowed + 1, allowed, f", the last one at {error.last_worker.name}")
        except Exception as error:
            return failed(job, "error", f"the worker could not measure: {in_words(error)}")
        self._short = took_s < SHORT_S
        return done

    def workers(self) -> int:
        return len(self._workers())

    def _blamed(self, job: Job, deaths: int, allowed: int, last: str = "") -> Done | None:
        """The rows of a cell that more workers have died on, if they are too many; else None, to submit it again."""
        self._deaths[job.cell.key] += deaths
        count = self._deaths[job.cell.key]
        if count < MOST_DEATHS * (allowed + 1):
            return None
        return failed(job, "crashed", f"{count} workers died on this cell{last}")

    def _stranded(self, under_way: Collection[Future[Done]]) -> set[Future[Done]]:
        """Jobs that no worker has though there are workers; cancelled, to be submitted again.

        A job that was ready while no worker had its resources is looked at again when a worker comes, and a worker has
        its resources only a moment after it has come: nothing would ever begin it.
        """
        if not any(self._workers().values()):
            return set()
        with suppress(OSError, RuntimeError):
            pending = {str(key) for keys in self._client.processing().values() for key in keys}
            for future in under_way:
                self._idle[future] = 0 if self._keys[future] in pending else self._idle.get(future, 0) + 1
        stranded = {future for future in under_way if self._idle.get(future, 0) >= MOST_IDLE}
        if stranded:
            # Submitted anew it is another task, on which no worker has died yet: what kills the only worker would go on
            # doing so for good. A scheduler may refuse to be asked.
            with suppress(OSError, RuntimeError, ValueError):
                deaths = self._client.run_on_scheduler(deaths_of([self._keys[future] for future in stranded]))
                self._lost |= {future: deaths[key] for future in stranded if (key := self._keys[future]) in deaths}
        for future in stranded:
            future.cancel()
        return stranded

    def _workers(self) -> Mapping[str, Collection[str]]:
        """The kinds of devices of each worker that may measure, by address; asked for anew after TICK_S."""
        since, kinds = self._seen
        if time.monotonic() - since > TICK_S:
            with suppress(OSError, RuntimeError):
                # Of a scheduler that is gone nothing is known.
                workers: Mapping[str, Any] = self._client.scheduler_info().get("workers", {})
                kinds = {
                    address: {"cpu", *(name for name, count in worker["resources"].items() if count)}
                    for address, worker in workers.items()
                    if worker["resources"].get(MEASURING)
                }
            self._seen = (time.monotonic(), kinds)
        return kinds

    def _heard(self, event: tuple[float, Any]) -> None:
        self._seen = (-1.0, self._seen[1])
        self._tell(event[1])

    def _gone(self, what: str) -> ClusterError:
        return ClusterError(f"{what} at {self._address}; what was finished is on disk, --resume goes on")


@contextmanager
def pooled(
    address: str, wait_s: float, attend: Callable[[Case], object], tell: Callable[[str], object]
) -> Iterator[Cluster]:
    """The workers of a scheduler, for as long as the with block lasts; see `connected` and `Cluster`."""
    with connected(address, tell) as client:
        yield Cluster(client, address, wait_s, attend, tell)


def at_worker(do: Callable[[Job, str, str, str], Done], job: Job, run: str) -> Done:
    """Do a job at the worker that this runs in."""
    worker = distributed.get_worker()
    return do(job, run, worker.address, worker.local_directory)


def deaths_of(keys: Sequence[str]) -> Callable[..., dict[str, tuple[int, int]]]:
    """A function for the scheduler: how many workers have died on each task, and how many it allows.

    Made here, so that pickle sends it whole: a scheduler without jacstrat could not find it.
    """

    def deaths(dask_scheduler: Any) -> dict[str, tuple[int, int]]:
        tasks, allowed = dask_scheduler.tasks, dask_scheduler.allowed_failures
        return {key: (tasks[key].suspicious, allowed) for key in keys if key in tasks}

    return deaths


def _kind(device: str) -> str:
    return device.partition(":")[0]


def vetting(ours: Mapping[str, str]) -> Any:
    """A plugin that gives a worker its resources, if its versions are ours; it tells the client where they are not.

    Made here, out of what is here, so that pickle sends it whole: to a worker without jacstrat it could not be named.
    """
    # What a method takes from this module, it would look up there; what it takes from here, it carries along.
    topic, measuring, find_versions = TOPIC, MEASURING, versions

    class Vetting(distributed.WorkerPlugin):  # type: ignore[misc]
        async def setup(self, worker: Any) -> None:
            import asyncio

            theirs = await asyncio.to_thread(find_versions)
            others = [f"{name} {theirs[name]}, here {ours[name]}" for name in ours if theirs[name] != ours[name]]
            if others:
                await worker.set_resources(**{measuring: 0})
                worker.log_event(topic, f"worker {worker.address} is refused: it has {'; '.join(others)}")
                return

            def accelerator() -> dict[str, int]:
                import torch

                device = torch.accelerator.current_accelerator(check_available=True)
                return {} if device is None else {device.type: 1}

            await worker.set_resources(**{measuring: 1}, **await asyncio.to_thread(accelerator))

    return Vetting()
