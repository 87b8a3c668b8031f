"""Run a sweep into a directory: every case a row, on disk as it ends, whatever comes between."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from jacstrat.available import available_bytes
from jacstrat.harness.cases import Case, Cell
from jacstrat.harness.cell import Outcome, measure
from jacstrat.harness.child import Limits
from jacstrat.harness.directory import claimed, finished, read_json, write_json, write_whole
from jacstrat.harness.isolation import measure_isolated
from jacstrat.harness.predict import BEYOND, Forecast, forecasts, forecasts_isolated, might_not_fit
from jacstrat.harness.sweep import Sweep
from jacstrat.measure.sampling import Settings
from jacstrat.records import ENVIRONMENT, SWEEP, Record, RecordWriter

# What a larger n of the same line would run into as well.
ENDS_LINE = ("timeout", "oom")


class Observer(Protocol):
    """Is told how a run goes on."""

    def started(self, done: int, total: int) -> None:
        """`done` of `total` cases are there from an earlier run."""

    def attending(self, case: Case) -> None:
        """The case whose code runs now; called often."""

    def finished(self, record: Record) -> None:
        """A row is on disk."""


@dataclass(frozen=True)
class Options:
    """How to run, apart from what.

    Fields:
        isolate: A child process a cell; else all in this process, for debuggers.
        resume: Go on with a directory that an interrupted run left.
        retry: Statuses whose cases are measured again on resuming.
    """

    isolate: bool = True
    resume: bool = False
    retry: tuple[str, ...] = ()


def run(sweep: Sweep, directory: Path, observer: Observer, options: Options, environment: Callable[[], Any]) -> None:
    """Measure every case of the sweep that the directory does not have yet.

    Args:
        sweep: What to measure.
        directory: Made if need be; gets sweep.toml, environment.json, records.csv and samples.jsonl.
        observer: Is told how it goes on.
        options: How to run.
        environment: What machine this is, as plain JSON; asked at the start and at the end.

    Raises:
        UsageError: The sweep is none, the directory cannot be written, is in use, or holds another sweep's results.
        KeyboardInterrupt: Ends the run at once; every row that was finished is on disk, no process stays behind.
    """
    sweep = sweep.pinned()
    cells = sweep.cells()
    with ExitStack() as stack:
        stack.enter_context(claimed(directory))
        done = finished(directory, sweep, options.resume, options.retry)
        earlier = (read_json(directory / ENVIRONMENT) or []) if done else []
        session = {"start": environment()}
        write_json(directory / ENVIRONMENT, [*earlier, session])
        write_whole(directory / SWEEP, sweep.to_toml())
        writer = stack.enter_context(RecordWriter(directory))
        # Ends with the run, so that a reference outlives no change of the code that it came from.
        cache = Path(stack.enter_context(TemporaryDirectory(prefix="jacstrat-")))
        observer.started(len(done), sum(len(cell.strategies) for cell in cells))
        try:
            for outcome in _outcomes(cells, done, sweep, observer, options, cache):
                if outcome.samples:
                    writer.write_samples(outcome.case, outcome.samples)
                if outcome.record:
                    writer.write(outcome.record)
                    observer.finished(outcome.record)
        finally:
            write_json(directory / ENVIRONMENT, [*earlier, session | {"end": environment()}])


def limits_of(sweep: Sweep) -> Limits:
    """What a case of the sweep may use."""
    return Limits(sweep.timeout_s, sweep.max_memory_bytes or available_bytes() * 4 // 5)


def ends_line(case: Case, status: str, reason: str) -> str | None:
    """Why larger n of the case's line are not to be tried; None where they are."""
    beyond = status == "skipped" and reason.startswith(BEYOND)
    return f"{status} at n = {case.cell.n}: {reason}" if beyond or status in ENDS_LINE else None


def _forecasts(
    cell: Cell, limits: Limits, isolate: bool, attend: Callable[[str], object]
) -> Generator[Forecast, None, None]:
    """What is to be known before the cell is measured: nothing, unless it might not fit."""
    if not might_not_fit(cell, limits.memory_bytes):
        return
    memory_bytes = limits.memory_bytes if cell.device == "cpu" else None
    if isolate:
        yield from forecasts_isolated(cell, memory_bytes, limits.timeout_s, attend)
    else:
        yield from forecasts(cell, memory_bytes, attend)


def _outcomes(
    cells: tuple[Cell, ...],
    done: Mapping[str, tuple[str, str]],
    sweep: Sweep,
    observer: Observer,
    options: Options,
    cache: Path,
) -> Generator[Outcome, None, None]:
    settings = Settings(limit_s=sweep.sample_s) if sweep.timed else None
    limits = limits_of(sweep)
    ended: dict[tuple[Any, ...], tuple[int, str]] = {}

    def note(case: Case, status: str, reason: str) -> None:
        if cause := ends_line(case, status, reason):
            ended[case.line] = min(ended.get(case.line, (case.cell.n, cause)), (case.cell.n, cause))

    for cell in cells:
        left = []
        for case in cell.cases:
            if case.key in done:
                note(case, *done[case.key])
            elif case.line in ended and cell.n > ended[case.line][0]:
                yield Outcome(case.key, case.record("skipped", ended[case.line][1]), None)
            else:
                left.append(case.strategy)
        if not left:
            continue
        part = replace(cell, strategies=tuple(left))

        def attend(name: str, cell: Cell = part) -> None:
            observer.attending(Case(cell, name))

        with closing(_forecasts(part, limits, options.isolate, attend)) as found:
            for case, _, skip, _ in found:
                if skip:
                    left.remove(case.strategy)
                    note(case, "skipped", skip)
                    yield Outcome(case.key, case.record("skipped", skip), None)
        if not left:
            continue
        part = replace(part, strategies=tuple(left))
        isolated = measure_isolated(part, settings, limits, attend, cache) if options.isolate else None
        with closing(isolated or measure(part, settings, attend, cache)) as outcomes:
            for outcome in outcomes:
                if record := outcome.record:
                    note(Case(cell, record.strategy), record.status, record.reason)
                yield outcome
