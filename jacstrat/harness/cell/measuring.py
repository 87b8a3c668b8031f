"""Measure one cell in this process: prepare, check, count, then sample its strategies and f side by side."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from jacstrat.core.case import FLOOR, F
from jacstrat.harness.cell.cell_context import CellContext, context_of
from jacstrat.harness.cell.cell_samples import FLOOR_REPLAYED, CellSamples, sample_cell
from jacstrat.harness.cell.columns import timed_columns, untimed_columns
from jacstrat.harness.cell.failures import failure_on
from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.cell.phases import Phase
from jacstrat.harness.cell.prepared_case import PreparedCase, prepare_case
from jacstrat.harness.cell.profiling import profile
from jacstrat.harness.cell.setup import Attend, reason_to_skip
from jacstrat.harness.cell.surroundings import kernels_in, surroundings
from jacstrat.harness.plan.cases import Cell
from jacstrat.measure.activity import Activity
from jacstrat.measure.elsewhere import Elsewhere
from jacstrat.measure.sampling import Settings
from jacstrat.problems.base import Instance
from jacstrat.record import Record


def measure(
    cell: Cell,
    settings: Settings | None,
    attend: Attend = lambda name: None,
    cache: Path | None = None,
    instance: Instance | None = None,
    traces: Path | None = None,
    energy: bool = False,
    profiled: bool = True,
) -> Generator[Outcome, None, None]:
    """Every case of the cell, each as a row, whatever happens to it.

    Args:
        cell: What to measure.
        settings: When a number is good enough; None where no time is to be taken, but counts and accuracy alone.
        attend: Told the strategy (or "f") whose code is about to run, so that a hang can be put down to it.
        cache: Where references are kept, see `harness.cell.references`.
        instance: What to measure instead of the problem that the cell names.
        traces: A directory for a Chrome trace of every case that is timed; None for none.
        energy: Whether to take the energy of a call, where the card tells it.
        profiled: Whether to look at each case with a profiler in this process, behind all that it times in the cell.

    Raises:
        KeyboardInterrupt: This ends it early; rows that were yielded stand.
        ContextLostError: This, too: the process can do nothing more on the device. What was attended to last did it.
        Exception: What a given instance raises by itself, before any strategy; its caller is here to see it.
    """
    attend(F)
    if instance is None and (reason := reason_to_skip(cell)):
        yield from (Outcome.of(case, "skipped", reason) for case in cell.cases)
        return
    with surroundings(cell), kernels_in(cache), ExitStack() as opened:
        try:
            context = context_of(cell, settings, attend, cache, instance, traces, energy, opened)
        except (Exception, SystemExit) as error:
            if instance is not None:
                raise
            status, reason = failure_on(cell.device, error)
            yield from (Outcome.of(case, status, f"f itself: {reason}") for case in cell.cases)
            return
        prepared_cases = {}
        for case in cell.cases:
            attend(case.strategy)
            try:
                prepared_cases[case.strategy] = prepare_case(case, context.setup, attend)
            except (Exception, SystemExit) as error:
                yield Outcome.of(case, *failure_on(cell.device, error))
        if settings is None:
            yield from (_counted(context, prepared) for prepared in prepared_cases.values())
        elif prepared_cases:
            yield from _timed(context.for_cases(prepared_cases.values()), prepared_cases, profiled)


def _counted(context: CellContext, prepared: PreparedCase) -> Outcome:
    """The row of a case that is not timed."""
    record = Record.of(prepared.case, prepared.status, prepared.reason, **untimed_columns(context, prepared))
    return Outcome(record.case, record, None)


def _timed(context: CellContext, prepared_cases: Mapping[str, PreparedCase], profiled: bool) -> Iterator[Outcome]:
    """The rows of cases that are timed: sampled side by side, then looked at one by one."""
    with context.setup.phases.within("sample"):
        samples = sample_cell(context, {name: prepared.work for name, prepared in prepared_cases.items()})
    yield from _of_no_strategy(context, samples)
    fastest = samples.fastest([name for name, prepared in prepared_cases.items() if prepared.is_right])
    readings = {}
    for name, prepared in prepared_cases.items():
        context.attend(name)
        try:
            readings[name] = _read(context, prepared, samples)
        except (Exception, SystemExit) as error:
            yield Outcome.of(prepared.case, *failure_on(context.cell.device, error))
            # None of those that are told below.
            context.setup.phases.taken()
    # Behind all that is timed: a profiler that was started may stay in the way of launches.
    for name, reading in readings.items():
        context.attend(name)
        yield _finished(context, prepared_cases[name], samples, fastest, reading, profiled)


def _of_no_strategy(context: CellContext, samples: CellSamples) -> Iterator[Outcome]:
    """The samples of f and of the lower bound. What the cell took so far goes with f; what a strategy takes from now
    on, with the strategy."""
    yield Outcome(context.cell.case(F).key, None, samples.raw(F) | {"phases_s": context.setup.phases.taken()})
    if context.lower_bound:
        replayed = {"replayed": samples.raw(FLOOR_REPLAYED)} if context.lower_bound.replayed else {}
        yield Outcome(context.cell.case(FLOOR).key, None, samples.raw(FLOOR) | replayed)


@dataclass(frozen=True)
class CaseReading:
    """What is read of a case behind its samples, see the columns and samples of these names."""

    energy_j: float | None
    waits: bool | None
    phases_s: Mapping[Phase, float]


def _read(context: CellContext, prepared: PreparedCase, samples: CellSamples) -> CaseReading:
    """Energy of a call, and whether it waits for the device.

    Raises:
        Exception: The work raises, or did while it was sampled.
    """
    series, phases, instruments = samples.first[prepared.case.strategy], context.setup.phases, context.instruments
    if series.error is not None:
        raise series.error
    with phases.within("energy"):
        energy_j = instruments.energy_j(prepared.work, series.summary.median)
    with phases.within("waits"):
        waits = instruments.clock.waits(prepared.work)
    return CaseReading(energy_j, waits, phases.taken())


def _finished(
    context: CellContext,
    prepared: PreparedCase,
    samples: CellSamples,
    fastest: str | None,
    reading: CaseReading,
    profiled: bool,
) -> Outcome:
    """The profile of a case, and its row."""
    name, phases = prepared.case.strategy, context.setup.phases
    with phases.within("profile"):
        activity = _activity(context, prepared, samples.first[name].summary.median) if profiled else None
    columns = timed_columns(context, prepared, samples, fastest, activity, reading.energy_j)
    record = Record.of(prepared.case, prepared.status, prepared.reason, **columns)
    raw = samples.raw(name) | {"beside": samples.raw_beside(name)}
    if prepared.software is not None:
        raw["software"] = dict(prepared.software)
    raw |= {"waits": reading.waits, "phases_s": {**reading.phases_s, **phases.taken()}}
    return Outcome(record.case, record, raw)


def _activity(context: CellContext, prepared: PreparedCase, call_s: float) -> Activity | None:
    """What the device does in a call. A profiler that fails takes no row away: the number is missing then."""
    device, traces = context.cell.device, context.traces
    if isinstance(prepared.work, Elsewhere) or (device == "cpu" and traces is None):
        return None
    try:
        return profile(prepared.work, prepared.case, call_s, traces)
    except (Exception, SystemExit) as error:
        failure_on(context.cell.device, error)
        return None
