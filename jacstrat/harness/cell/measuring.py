"""Measure one cell in this process: prepare, check, count, then sample its strategies and f side by side."""

from __future__ import annotations

import random
import uuid
from collections.abc import Generator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from jacstrat.core.case import FLOOR, Case, F
from jacstrat.core.errors import in_words
from jacstrat.core.status import Cause, Status
from jacstrat.harness.cell.instruments import Instruments, instruments_for
from jacstrat.harness.cell.lower_bound import LowerBound, lower_bound_of
from jacstrat.harness.cell.messages import case_of, record_of
from jacstrat.harness.cell.peaks import peaks_of
from jacstrat.harness.cell.phases import Phases
from jacstrat.harness.cell.setup import (
    Attend,
    CellSetup,
    PreparedCase,
    failure,
    kernels_in,
    prepare_case,
    reason_to_skip,
    set_up,
    surroundings,
    verdict,
)
from jacstrat.harness.cell.traces import trace_file
from jacstrat.harness.plan.cases import Cell
from jacstrat.measure.activity import Activity, observed
from jacstrat.measure.clocks import CACHES, TURN_S, Elsewhere, Turns, Work
from jacstrat.measure.context import ContextLostError, is_lost
from jacstrat.measure.ranges import ranges_for
from jacstrat.measure.roofline import Peaks
from jacstrat.measure.sampling import Settings, WorkSamples, sample
from jacstrat.problems.base import Instance
from jacstrat.record import COLUMNS, Record
from jacstrat.statistics import ratio


class Outcome(NamedTuple):
    """A row and its raw samples; the samples alone where the case is f itself."""

    case: str
    record: Record | None
    samples: dict[str, Any] | None

    @classmethod
    def of(cls, case: Case, status: Status, reason: str = "", cause: Cause = "") -> Outcome:
        """How a case ended of which nothing was measured."""
        return cls(case.key, Record.of(case, status, reason, cause=cause), None)

    @property
    def settles(self) -> str | None:
        """The strategy whose case this ends, if it ends one."""
        return self.record.strategy if self.record else None

    def to_data(self) -> dict[str, Any]:
        """The outcome as plain JSON."""
        return {"case": self.case, "record": asdict(self.record) if self.record else None, "samples": self.samples}

    @classmethod
    def parse(cls, cell: Cell, data: Any) -> Outcome:
        """The outcome of one of the cell's cases that is in what `to_data` gave.

        Raises:
            ValueError, KeyError, TypeError: It is none.
        """
        case, samples = case_of(cell, data["case"]), data["samples"]
        if not isinstance(samples, dict | None):
            raise TypeError("samples are a table")
        row = data["record"]
        return cls(case.key, None if row is None else record_of(case, row), samples)


def measure(
    cell: Cell,
    settings: Settings | None,
    attend: Attend = lambda name: None,
    cache: Path | None = None,
    instance: Instance | None = None,
    traces: Path | None = None,
    energy: bool = False,
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
            phases = Phases()
            setup = set_up(cell, attend, cache, instance, phases)
            with phases.within("set up"):
                f_work = setup.timed(setup.instance.value)
                lower_bound = lower_bound_of(setup)
                caches = (settings or Settings()).caches
                instruments = opened.enter_context(instruments_for(cell.device, caches, energy))
                # Counts alone are the same on every machine; rates are not.
                peaks = None if settings is None else peaks_of(cell, cache, lambda: attend(F))
        except (Exception, SystemExit) as error:
            if instance is not None:
                raise
            status, reason = _failure(cell, error)
            yield from (Outcome.of(case, status, f"f itself: {reason}") for case in cell.cases)
            return
        prepared_cases = {}
        for case in cell.cases:
            attend(case.strategy)
            try:
                prepared_cases[case.strategy] = prepare_case(case, setup, attend)
            except (Exception, SystemExit) as error:
                yield Outcome.of(case, *_failure(cell, error))
        if settings is None:
            yield from (_judged(prepared, lower_bound, setup) for prepared in prepared_cases.values())
        elif prepared_cases:
            if _take_turns(prepared_cases):
                beside = {cache: Turns(clock) for cache, clock in instruments.beside.items()}
                instruments = replace(instruments, clock=Turns(instruments.clock), beside=beside)
                settings = replace(settings, block_s=max(settings.block_s, TURN_S))
            side = CellContext(cell, setup, lower_bound, peaks, instruments, settings, attend, traces)
            yield from _compete(side, prepared_cases, f_work)


def _take_turns(prepared_cases: Mapping[str, PreparedCase]) -> bool:
    """Whether another process does some of the work."""
    return any(isinstance(prepared.work, Elsewhere) for prepared in prepared_cases.values())


def _failure(cell: Cell, error: BaseException) -> tuple[Status, str]:
    """`setup.failure`, unless the device is lost to this process."""
    if is_lost(torch.device(cell.device)):
        raise ContextLostError(in_words(error)) from error
    return failure(error)


class CellContext(NamedTuple):
    """What all contestants of a cell are measured with."""

    cell: Cell
    setup: CellSetup
    lower_bound: LowerBound | None
    peaks: Peaks | None
    instruments: Instruments
    settings: Settings
    attend: Attend
    traces: Path | None


def _compete(
    side: CellContext, prepared_cases: dict[str, PreparedCase], f_work: Work
) -> Generator[Outcome, None, None]:
    cell, setup, lower_bound, instruments = side.cell, side.setup, side.lower_bound, side.instruments
    with setup.phases.within("sample"):
        series, session = _sampled(side, prepared_cases, f_work)
    # What the cell took so far goes with f; what a strategy takes from now on, with the strategy.
    yield Outcome(cell.case(F).key, None, _raw(series[F], session) | {"phases_s": setup.phases.taken()})
    if lower_bound:
        yield Outcome(cell.case(FLOOR).key, None, _raw(series[FLOOR], session))
    verdicts = {name: verdict(prepared.errors, setup, prepared.drawn) for name, prepared in prepared_cases.items()}
    # What is right on average is not to be compared with what is right: the fastest is an exact one.
    exact = [name for name, prepared in prepared_cases.items() if prepared.drawn is None]
    right = [name for name in exact if verdicts[name][0] == "ok" and not series[name].error]
    fastest = min(right, key=lambda name: series[name].summary.median, default=None)
    told: dict[str, dict[str, Any]] = {}
    for name, prepared in prepared_cases.items():
        error = series[name].error
        side.attend(name)
        try:
            if error is not None:
                raise error
            with setup.phases.within("energy"):
                energy_j = instruments.energy_j(prepared.work, series[name].summary.median)
            with setup.phases.within("waits"):
                waits = instruments.clock.waits(prepared.work)
            told[name] = {"energy_j": energy_j, "waits": waits, "phases_s": setup.phases.taken()}
        except (Exception, SystemExit) as late:
            yield Outcome.of(prepared.case, *_failure(cell, late))
            # None of those that are told below.
            setup.phases.taken()
    # Behind all that is timed: a profiler that was started may stay in the way of launches.
    for name, found in told.items():
        prepared, times = prepared_cases[name], _times(series[name])
        side.attend(name)
        with setup.phases.within("profile"):
            seen = _seen(side, prepared, times["median_s"])
        measured = {
            **times,
            **_of_caches(side, series, name),
            "energy_j": found["energy_j"],
            **_ratios("cost_ratio", series[name], series[F]),
            **(_ratios("over_fastest", series[name], series[fastest]) if fastest else {}),
            "f_median_s": _median(series[F]),
            **(_over_floor(lower_bound, series[name], series[FLOOR]) if lower_bound else {}),
            **_over_light(lower_bound, side.peaks, times["median_s"]),
            **_activity(seen, times["median_s"]),
            "prepare_s": prepared.prepare_s,
            **_exact(prepared, setup),
            **_rates(prepared, side.peaks),
        }
        record = Record.of(prepared.case, *verdicts[name], **measured)
        raw = _raw(series[name], session)
        if prepared.software is not None:
            raw["software"] = dict(prepared.software)
        raw["beside"] = {cache: _raw(series[_label(name, cache)], session) for cache in instruments.beside}
        phases_s = found["phases_s"] | setup.phases.taken()
        yield Outcome(record.case, record, raw | {"waits": found["waits"], "phases_s": phases_s})


def _sampled(
    side: CellContext, prepared_cases: dict[str, PreparedCase], f_work: Work
) -> tuple[dict[str, WorkSamples], str]:
    """The series of f, of the floor and of the strategies, once more for each cache beside the first, side by side."""
    cell, lower_bound, instruments = side.cell, side.lower_bound, side.instruments
    works: dict[str, Work] = {F: f_work}
    if lower_bound:
        works[FLOOR] = lower_bound.work
    works |= {name: prepared.work for name, prepared in prepared_cases.items()}
    names, clocks = {name: name for name in works}, {}
    for cache, clock in instruments.beside.items():
        for name, prepared in prepared_cases.items():
            label = _label(name, cache)
            works[label], names[label], clocks[label] = prepared.work, name, clock
    device, rng = torch.device(cell.device), random.Random(f"{cell.seed} {cell.key}")
    ranges = ranges_for(device)
    alike = tuple(prepared_cases) if _take_turns(prepared_cases) else ()

    def attending(label: str) -> None:
        # The products are nobody's code: a hang in them is none of a strategy's.
        side.attend(F if label == FLOOR else names[label])

    series = sample(
        works,
        instruments.clock,
        side.settings,
        rng,
        F,
        attending,
        instruments,
        clocks,
        alike=alike,
        marked=lambda label: ranges(cell.case(names[label]).key),
        lost=lambda: is_lost(device),
    )
    return series, uuid.uuid4().hex[:8]


def _label(name: str, cache: str) -> str:
    """What a strategy is sampled as beside its first cache."""
    return f"{name} {cache}"


def _of_caches(side: CellContext, series: dict[str, WorkSamples], name: str) -> dict[str, Any]:
    """Which cache the numbers are of, and the median of each that was asked for."""
    first, *others = side.settings.caches
    medians = {first: _median(series[name])} | {cache: _median(series[_label(name, cache)]) for cache in others}
    return {"cache": first, **{f"{cache}_s": medians.get(cache) for cache in CACHES}}


def _seen(side: CellContext, prepared: PreparedCase, call_s: float) -> Activity | None:
    """What the device does in a call. A profiler that fails takes no row away: the number is missing then."""
    cell, traces = side.cell, side.traces
    device, key = torch.device(cell.device), prepared.case.key
    if isinstance(prepared.work, Elsewhere) or (device.type == "cpu" and traces is None):
        return None
    try:
        return observed(prepared.work, device, key, call_s, None if traces is None else trace_file(traces, key))
    except (Exception, SystemExit) as error:
        _failure(cell, error)
        return None


def _activity(seen: Activity | None, median_s: float) -> dict[str, Any]:
    if seen is None:
        return {}
    return {"kernels": seen.kernels, "kernel_s": seen.kernel_s, "gap_s": max(median_s - seen.kernel_s, 0.0)}


def _over_light(lower_bound: LowerBound | None, peaks: Peaks | None, median_s: float) -> dict[str, Any]:
    if lower_bound is None or peaks is None:
        return {}
    light_s = peaks.light_s(lower_bound.flops, lower_bound.bytes)
    return {"light_s": light_s, "over_light": median_s / light_s}


def _rates(prepared: PreparedCase, peaks: Peaks | None) -> dict[str, Any]:
    """What the work of a case takes at the least, by what it computes and by what it moves."""
    if peaks is None:
        return {}
    counts = prepared.counts
    moved = counts.moved_bytes
    return {
        "compute_s": None if counts.flops is None else peaks.compute_s(counts.flops),
        "memory_s": None if moved is None else peaks.memory_s(moved),
    }


def _exact(prepared: PreparedCase, setup: CellSetup) -> dict[str, Any]:
    """The columns that are no times: counts and errors."""
    return {
        "reference": setup.reference.source,
        "reference_error": setup.reference.error(setup.operator),
        "cancellation": setup.reference.cancellation(setup.operator),
        **asdict(prepared.counts),
        **{key: value for key, value in asdict(prepared.errors).items() if key in COLUMNS},
        **(prepared.drawn.columns if prepared.drawn else {}),
    }


def _judged(prepared: PreparedCase, lower_bound: LowerBound | None, setup: CellSetup) -> Outcome:
    """The row of a case that is not timed."""
    status, reason = verdict(prepared.errors, setup, prepared.drawn)
    record = Record.of(prepared.case, status, reason, **_best(lower_bound), **_exact(prepared, setup))
    return Outcome(record.case, record, None)


def _times(series: WorkSamples) -> dict[str, Any]:
    times = series.summary
    return {
        "median_s": times.median,
        "q1_s": times.q1,
        "q3_s": times.q3,
        "min_s": times.minimum,
        "ci_low_s": times.low,
        "ci_high_s": times.high,
        "samples": times.samples,
        "stop_reason": series.stop_reason,
    }


def _median(series: WorkSamples) -> float | None:
    return series.summary.median if series.seconds else None


def _over_floor(lower_bound: LowerBound, series: WorkSamples, bare: WorkSamples) -> dict[str, Any]:
    return {"floor_median_s": _median(bare), **_ratios("over_floor", series, bare), **_best(lower_bound)}


def _best(lower_bound: LowerBound | None) -> dict[str, Any]:
    return {"best_flops": lower_bound.flops, "best_bytes": lower_bound.bytes} if lower_bound else {}


def _ratios(name: str, numerator: WorkSamples, denominator: WorkSamples) -> dict[str, Any]:
    """The ratio by round and its interval, as the columns `name`, `name`_low, `name`_high."""
    found = ratio(numerator.seconds, denominator.seconds)
    return {name: found.median, f"{name}_low": found.low, f"{name}_high": found.high} if found else {}


def _raw(series: WorkSamples, session: str) -> dict[str, Any]:
    return {
        "session": session,
        "calls": series.calls,
        "rounds": list(series.seconds),
        "seconds": list(series.seconds.values()),
        "host_s": list(series.host_s.values()),
        "sm_clock_mhz": list(series.sm_clock_mhz.values()),
        "temperature_c": list(series.temperature_c.values()),
        "dropped": {str(number): list(reasons) for number, reasons in series.dropped.items()},
        "stop_reason": series.stop_reason,
    }
