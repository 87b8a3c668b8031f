"""Run a sweep into a directory: every case a row, on disk as it ends, whatever comes between."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jacstrat.core.environment import Session, read_sessions, write_sessions
from jacstrat.core.whole import write_whole
from jacstrat.harness.directory import claimed, finished
from jacstrat.harness.dispatch.job import Done, Job, limits_of
from jacstrat.harness.dispatch.lines import lines
from jacstrat.harness.dispatch.pool import Here, Pool, Slots
from jacstrat.harness.dispatch.scheduler import Observer, schedule
from jacstrat.harness.dispatch.servers import end_left_processes
from jacstrat.harness.dispatch.strays import temporary_folder
from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.sweep import Sweep
from jacstrat.harness.results import Results
from jacstrat.measure.sampling import Settings
from jacstrat.records import SWEEP, TRACES


@dataclass(frozen=True)
class Options:
    """How to run, apart from what.

    Fields:
        isolate: A child process a cell; else all in this process, for debuggers.
        resume: Go on with a directory that an interrupted run left.
        retry: Statuses whose cases are measured again on resuming.
        trace: A Chrome trace of every case, in the directory's `traces`.
    """

    isolate: bool = True
    resume: bool = False
    retry: tuple[str, ...] = ()
    trace: bool = False


def run(
    sweep: Sweep,
    directory: Path,
    observer: Observer,
    options: Options,
    environment: Callable[[], Any],
    elsewhere: AbstractContextManager[Pool] | None = None,
) -> None:
    """Measure every case of the sweep that the directory does not have yet.

    Args:
        sweep: What to measure.
        directory: Made if need be; gets sweep.toml, environment.json, records.csv and samples.jsonl.
        observer: Is told how it goes on.
        options: How to run.
        environment: What machine this is, as plain JSON; asked at the start and at the end.
        elsewhere: Where to measure; None for this machine, one cell at a time on each device. Only this process writes,
            in any case.

    Raises:
        UsageError: The sweep is none, the directory cannot be written, is in use, or holds another sweep's results.
        LostError: The directory was moved, removed or changed meanwhile; what was measured is written beside it.
        JacstratError: There is nobody left to measure; what was finished is on disk.
        KeyboardInterrupt: Ends the run at once; every row that was finished is on disk, no process stays behind.
    """
    sweep = sweep.pinned()
    cells = sweep.cells()
    with ExitStack() as stack:
        stack.enter_context(claimed(directory))
        done = finished(directory, sweep, options.resume, options.retry)
        earlier = read_sessions(directory) if done else ()
        write_whole(directory / SWEEP, sweep.to_toml())
        results = stack.enter_context(Results(directory, sweep.to_toml()))
        # Ends with the run, so that a reference outlives no change of the code that it came from.
        references = stack.enter_context(temporary_folder())
        # Behind the pool, which ends the children that it keeps.
        stack.callback(end_left_processes)
        job = _job(sweep, cells[0], options, (directory / TRACES).resolve())
        left = lines(cells, done)
        if elsewhere is None:
            devices = dict.fromkeys(cell.device for cell in cells)
            pool = stack.enter_context(_pool_here(devices, options, observer, references))
            # Once, since each cell of a run is to have the same memory.
            job = replace(job, memory_bytes=limits_of(sweep).memory_bytes)
        else:
            pool = stack.enter_context(elsewhere)
            # What would be begun last must not be what takes longest.
            left.sort(key=lambda line: -line.cases)
        sessions = Sessions(results, earlier, environment)
        observer.started(len(done), sum(len(cell.strategies) for cell in cells))
        try:
            for outcome in schedule(left, job, pool, observer.under_way, sessions.add_worker):
                if outcome.samples:
                    results.write_samples(outcome.case, outcome.samples)
                if outcome.record:
                    results.write(outcome.record)
                    observer.finished(outcome.record)
        finally:
            sessions.end()


def _job(sweep: Sweep, first: Cell, options: Options, traces: Path) -> Job:
    """What is done with every cell, of which the first stands in it."""
    settings = Settings(limit_s=sweep.sample_s, caches=sweep.cache) if sweep.timed else None
    return Job(
        first,
        settings,
        sweep.timeout_s,
        sweep.max_memory_bytes,
        options.isolate,
        traces if options.trace else None,
        energy=sweep.energy,
    )


def _pool_here(
    devices: Collection[str], options: Options, observer: Observer, references: Path
) -> AbstractContextManager[Pool]:
    """The pool of this machine, one cell at a time on each device."""
    # Without a child each there is one process, which is at one cell.
    if len(devices) > 1 and options.isolate:
        return closing(Slots(devices, observer.attending, references))
    return closing(Here(observer.attending, references))


class Sessions:
    """What environment.json says of a run while it is under way: of this machine, and of those that measure for it.

    Args:
        results: Of the run, whose directory may be moved.
        earlier: Sessions of the runs that this one goes on with.
        environment: What machine this is, as plain JSON.
    """

    def __init__(self, results: Results, earlier: Sequence[Session], environment: Callable[[], Any]) -> None:
        self._results, self._earlier, self._environment = results, earlier, environment
        self._session = Session({"start": environment()})
        self._write(self._session)

    def add_worker(self, done: Done) -> None:
        """Add the machine that did a job, the first time that it did one."""
        if done.environment is not None and done.machine not in self._session.workers:
            self._session = self._session.with_worker(done.machine, done.environment)
            self._results.check()
            self._write(self._session)

    def end(self) -> None:
        """Add what has changed meanwhile; nothing where the directory is gone."""
        with suppress(FileNotFoundError):
            self._write(self._session.ended(self._environment()))

    def _write(self, session: Session) -> None:
        write_sessions(self._results.directory, [*self._earlier, session])
