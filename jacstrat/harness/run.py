"""Run a sweep into a directory: every case a row, on disk as it ends, whatever comes between."""

from __future__ import annotations

from collections.abc import Callable
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
        settings = Settings(limit_s=sweep.sample_s, caches=sweep.cache) if sweep.timed else None
        traces = (directory / TRACES).resolve() if options.trace else None
        job = Job(
            cells[0], settings, sweep.timeout_s, sweep.max_memory_bytes, options.isolate, traces, energy=sweep.energy
        )
        left = lines(cells, done)
        # Behind the pool, which ends the children that it keeps.
        stack.callback(end_left_processes)
        pool: Pool
        if elsewhere is None:
            # Once, since each cell of a run is to have the same memory.
            devices = dict.fromkeys(cell.device for cell in cells)
            # Without a child each there is one process, which is at one cell.
            if len(devices) > 1 and options.isolate:
                pool = stack.enter_context(closing(Slots(devices, observer.attending, references)))
            else:
                pool = stack.enter_context(closing(Here(observer.attending, references)))
            job = replace(job, memory_bytes=limits_of(sweep).memory_bytes)
        else:
            pool = stack.enter_context(elsewhere)
            # What would be begun last must not be what takes longest.
            left.sort(key=lambda line: -line.cases)
        session = Session({"start": environment()})

        def found(done: Done) -> None:
            nonlocal session
            if done.environment is not None and done.machine not in session.workers:
                session = session.with_worker(done.machine, done.environment)
                results.check()
                write_sessions(directory, [*earlier, session])

        write_sessions(directory, [*earlier, session])
        observer.started(len(done), sum(len(cell.strategies) for cell in cells))
        try:
            for outcome in schedule(left, job, pool, observer.under_way, found):
                if outcome.samples:
                    results.write_samples(outcome.case, outcome.samples)
                if outcome.record:
                    results.write(outcome.record)
                    observer.finished(outcome.record)
        finally:
            with suppress(FileNotFoundError):
                write_sessions(results.directory, [*earlier, session.ended(environment())])
