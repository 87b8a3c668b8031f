"""Measure one cell in this process: prepare, check, count, then sample its strategies and f side by side."""

from __future__ import annotations

import random
import uuid
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from jacstrat.core.case import FLOOR, Case, F
from jacstrat.core.status import Status
from jacstrat.harness.bench import (
    Attend,
    Bench,
    Contestant,
    enter,
    failure,
    kernels_in,
    reason_to_skip,
    set_up,
    surroundings,
    verdict,
)
from jacstrat.harness.cases import Cell
from jacstrat.harness.floor import Floor, floor_of
from jacstrat.harness.instruments import Instruments, instruments_for
from jacstrat.harness.phases import Phases
from jacstrat.measure.clocks import Work
from jacstrat.measure.sampling import Series, Settings, sample
from jacstrat.problems.base import Instance
from jacstrat.records import COLUMNS, Record
from jacstrat.statistics import ratio


class Outcome(NamedTuple):
    """A row and its raw samples; the samples alone where the case is f itself."""

    case: str
    record: Record | None
    samples: dict[str, Any] | None

    @classmethod
    def of(cls, case: Case, status: Status, reason: str = "") -> Outcome:
        """How a case ended of which nothing was measured."""
        return cls(case.key, Record.of(case, status, reason), None)

    @property
    def settles(self) -> str | None:
        """The strategy whose case this ends, if it ends one."""
        return self.record.strategy if self.record else None


def measure(
    cell: Cell,
    settings: Settings | None,
    attend: Attend = lambda name: None,
    cache: Path | None = None,
    instance: Instance | None = None,
    energy: bool = False,
) -> Generator[Outcome, None, None]:
    """Every case of the cell, each as a row, whatever happens to it.

    Args:
        cell: What to measure.
        settings: When a number is good enough; None where no time is to be taken, but counts and accuracy alone.
        attend: Told the strategy (or "f") whose code is about to run, so that a hang can be put down to it.
        cache: Where references are kept, see `harness.references`.
        instance: What to measure instead of the problem that the cell names.
        energy: Whether to take the energy of a call, where the card tells it.

    Raises:
        KeyboardInterrupt: Only this ends it early; rows that were yielded stand.
        Exception: What a given instance raises by itself, before any strategy; its caller is here to see it.
    """
    attend(F)
    if instance is None and (reason := reason_to_skip(cell)):
        yield from (Outcome.of(case, "skipped", reason) for case in cell.cases)
        return
    with surroundings(cell), kernels_in(cache), ExitStack() as opened:
        try:
            phases = Phases()
            bench = set_up(cell, attend, cache, instance, phases)
            with phases.within("set up"):
                f_work = bench.timed(bench.instance.value)
                floor = floor_of(bench)
                instruments = opened.enter_context(instruments_for(cell.device, energy))
        except (Exception, SystemExit) as error:
            if instance is not None:
                raise
            status, reason = failure(error)
            yield from (Outcome.of(case, status, f"f itself: {reason}") for case in cell.cases)
            return
        contestants = {}
        for case in cell.cases:
            attend(case.strategy)
            try:
                contestants[case.strategy] = enter(case, bench, attend)
            except (Exception, SystemExit) as error:
                yield Outcome.of(case, *failure(error))
        if settings is None:
            yield from (_judged(contestant, floor, bench) for contestant in contestants.values())
        elif contestants:
            yield from _compete(cell, contestants, f_work, floor, bench, instruments, settings, attend)


def _compete(
    cell: Cell,
    contestants: dict[str, Contestant],
    f_work: Work,
    floor: Floor | None,
    bench: Bench,
    instruments: Instruments,
    settings: Settings,
    attend: Attend,
) -> Generator[Outcome, None, None]:
    works: dict[str, Work] = {F: f_work}
    if floor:
        works[FLOOR] = floor.work
    works |= {name: contestant.work for name, contestant in contestants.items()}
    session = uuid.uuid4().hex[:8]
    rng = random.Random(f"{cell.seed} {cell.key}")

    def attending(name: str) -> None:
        # The products are nobody's code: a hang in them is none of a strategy's.
        attend(F if name == FLOOR else name)

    with bench.phases.within("sample"):
        series = sample(works, instruments.clock, settings, rng, F, attending, instruments.spoiled)
    # What the cell took so far goes with f; what a strategy takes from now on, with the strategy.
    yield Outcome(cell.case(F).key, None, _raw(series[F], session) | {"phases_s": bench.phases.taken()})
    if floor:
        yield Outcome(cell.case(FLOOR).key, None, _raw(series[FLOOR], session))
    verdicts = {name: verdict(contestant.errors, bench, contestant.drawn) for name, contestant in contestants.items()}
    # What is right on average is not to be compared with what is right: the fastest is an exact one.
    exact = [name for name, contestant in contestants.items() if contestant.drawn is None]
    right = [name for name in exact if verdicts[name][0] == "ok" and not series[name].error]
    fastest = min(right, key=lambda name: series[name].summary.median, default=None)
    for name, contestant in contestants.items():
        error = series[name].error
        if error is not None:
            yield Outcome.of(contestant.case, *failure(error))
            continue
        attend(name)
        try:
            with bench.phases.within("energy"):
                energy_j = instruments.energy_j(contestant.work, series[name].summary.median)
            with bench.phases.within("waits"):
                waits = instruments.clock.waits(contestant.work)
        except (Exception, SystemExit) as late:
            yield Outcome.of(contestant.case, *failure(late))
            continue
        measured = {
            **_times(series[name]),
            "energy_j": energy_j,
            **_ratios("cost_ratio", series[name], series[F]),
            **(_ratios("over_fastest", series[name], series[fastest]) if fastest else {}),
            "f_median_s": _median(series[F]),
            **(_over_floor(floor, series[name], series[FLOOR]) if floor else {}),
            "prepare_s": contestant.prepare_s,
            **_exact(contestant, bench),
        }
        record = Record.of(contestant.case, *verdicts[name], **measured)
        raw = _raw(series[name], session) | {"waits": waits, "phases_s": bench.phases.taken()}
        yield Outcome(record.case, record, raw)


def _exact(contestant: Contestant, bench: Bench) -> dict[str, Any]:
    """The columns that are no times: counts and errors."""
    return {
        "reference": bench.reference.source,
        "reference_error": bench.reference.error(bench.operator),
        "cancellation": bench.reference.cancellation(bench.operator),
        **asdict(contestant.counts),
        **{key: value for key, value in asdict(contestant.errors).items() if key in COLUMNS},
        **(contestant.drawn.columns if contestant.drawn else {}),
    }


def _judged(contestant: Contestant, floor: Floor | None, bench: Bench) -> Outcome:
    """The row of a case that is not timed."""
    status, reason = verdict(contestant.errors, bench, contestant.drawn)
    best_flops = floor.flops if floor else None
    record = Record.of(contestant.case, status, reason, best_flops=best_flops, **_exact(contestant, bench))
    return Outcome(record.case, record, None)


def _times(series: Series) -> dict[str, Any]:
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


def _median(series: Series) -> float | None:
    return series.summary.median if series.seconds else None


def _over_floor(floor: Floor, series: Series, bare: Series) -> dict[str, Any]:
    times = {"floor_median_s": _median(bare), **_ratios("over_floor", series, bare)}
    return {"best_flops": floor.flops, **times}


def _ratios(name: str, numerator: Series, denominator: Series) -> dict[str, Any]:
    """The ratio by round and its interval, as the columns `name`, `name`_low, `name`_high."""
    found = ratio(numerator.seconds, denominator.seconds)
    return {name: found.median, f"{name}_low": found.low, f"{name}_high": found.high} if found else {}


def _raw(series: Series, session: str) -> dict[str, Any]:
    return {
        "session": session,
        "calls": series.calls,
        "rounds": list(series.seconds),
        "seconds": list(series.seconds.values()),
        "host_s": list(series.host_s.values()),
        "dropped": {str(number): list(reasons) for number, reasons in series.dropped.items()},
        "stop_reason": series.stop_reason,
    }
