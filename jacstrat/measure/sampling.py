"""Sampling: warm up until steady, size blocks to the clock, then shuffled rounds until every median is known.

The work to compare is sampled side by side: each round takes one block of each, in random order, so that the drift of
a shared machine hits all alike and ratios are taken within a round.

A sample that was spoiled, as by a card that slowed down for heat, is dropped and counted. Such a rule alone would
leave nothing of a card that never reaches its full clock: from a share of drops on samples are kept again.
"""

from __future__ import annotations

import gc
import math
import random
import statistics
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from jacstrat.core.errors import in_words
from jacstrat.measure.card import DeviceState, throttled
from jacstrat.measure.clocks import COLD, WARM, Clock, Timing, Work
from jacstrat.measure.context import ContextLostError
from jacstrat.statistics import Summary, summarise

PRECISE = "precise"
TIME_LIMIT = "time limit"
MAX_SAMPLES = "most samples"
OTHERS_DONE = "others done"
THROTTLED = "throttled"

# Spoiled samples are kept again once they are min_samples and more than this share of those taken.
MOST_DROPPED = 0.5
# How much longer a block is than it need be, so that it has as many calls as others.
MOST_LONGER = 8


@dataclass(frozen=True)
class Settings:
    """How samples are taken, and when a number is good enough.

    Fields:
        half_width: Of the median's 95 % interval over the median; sampling stops within it.
        min_samples, max_samples: Fewest and most samples of one piece of work.
        limit_s: Time to spend on one piece of work, warm-up apart; one sample is taken in any case.
        warmup_s: Most time to spend on warming up one piece of work.
        block_s: Shortest sample; a sample also lasts at least `ticks` ticks of the clock.
        steady: Relative difference of two successive halves of the warm-up that counts as steady.
        caches: What calls find in the caches, see `clocks.CACHES`; numbers are of the first, the others beside it.
    """

    half_width: float = 0.02
    min_samples: int = 10
    max_samples: int = 500
    limit_s: float = 1.0
    warmup_s: float = 0.2
    block_s: float = 1e-3
    ticks: int = 1000
    steady: float = 0.1
    caches: tuple[str, ...] = (WARM,)


@dataclass
class WorkSamples:
    """The samples of one piece of work.

    Fields:
        calls: Calls in a block, of which a sample is the mean.
        seconds, host_s: Time of a call by round, as in `clocks.Timing`.
        sm_clock_mhz, temperature_c: Of the card behind the block, by round; empty where nobody tells.
        dropped: The rounds whose sample was spoiled and is in neither, with the reasons.
        throttled: Too much was spoiled: from then on such samples were kept, too.
        spent_s: Time in blocks, dropped ones included, with what was not timed of them.
        stop_reason: Why sampling stopped; THROTTLED, whatever it was, where spoiled samples were kept.
        error: What the work raised.
    """

    calls: int = 1
    seconds: dict[int, float] = field(default_factory=dict)
    host_s: dict[int, float] = field(default_factory=dict)
    sm_clock_mhz: dict[int, int | None] = field(default_factory=dict)
    temperature_c: dict[int, int | None] = field(default_factory=dict)
    dropped: dict[int, tuple[str, ...]] = field(default_factory=dict)
    throttled: bool = False
    spent_s: float = 0.0
    stop_reason: str = ""
    error: BaseException | None = None

    @property
    def summary(self) -> Summary:
        return summarise(list(self.seconds.values()))


class Watch(Protocol):
    """Looks at a card between blocks."""

    def look(self) -> DeviceState | None:
        """The card now; None where nobody tells of one."""
        ...

    def rest(self, state: DeviceState, beat: Callable[[], object]) -> object:
        """Wait where the card in this state had better cool; `beat` is called again and again meanwhile."""
        ...


class Unwatched:
    """Of a device that nobody tells of."""

    def look(self) -> None:
        return None

    def rest(self, state: DeviceState, beat: Callable[[], object]) -> None:
        return None


UNWATCHED = Unwatched()


def unmarked(name: str) -> AbstractContextManager[object]:
    """Marks nothing."""
    return nullcontext()


def warm_up(work: Work, clock: Clock, settings: Settings) -> Timing:
    """Call until two successive halves of the last calls agree, or the time is up; the time of a call, at the end.

    A window of 10 calls, doubled each time that its halves do not agree: a slow settling needs a long view.
    """
    window, timings, spent = 10, [], 0.0
    while True:
        timing = clock.time(work, 1)
        timings.append(timing)
        spent += timing.spent_s
        if len(timings) == window:
            first, second = (_median(half) for half in (timings[: window // 2], timings[window // 2 :]))
            if abs(first.seconds - second.seconds) <= settings.steady * second.seconds:
                return second
            timings, window = timings[window // 2 :], min(2 * window, 320)
        if spent >= settings.warmup_s:
            return _median(timings[-5:])


def _median(timings: list[Timing]) -> Timing:
    columns = zip(*((timing.seconds, timing.host_s, timing.beside_s) for timing in timings), strict=True)
    return Timing(*map(statistics.median, columns))


def _calls(clock: Clock, call: Timing, settings: Settings) -> int:
    """Calls in a block. Cold ones are each timed by themselves: there what a block takes with its flushes counts."""
    block_s = max(settings.block_s, settings.ticks * clock.tick_s)
    return max(1, math.ceil(block_s / max(call.spent_s if clock.cache == COLD else call.seconds, 1e-9)))


def sample(
    works: Mapping[str, Work],
    clock: Clock,
    settings: Settings,
    rng: random.Random,
    reference: str | None = None,
    attending: Callable[[str], object] = lambda name: None,
    watch: Watch = UNWATCHED,
    clocks: Mapping[str, Clock] | None = None,
    marked: Callable[[str], AbstractContextManager[object]] = unmarked,
    lost: Callable[[], bool] = lambda: False,
    alike: Collection[str] = (),
) -> dict[str, WorkSamples]:
    """Sample pieces of work in shuffled, interleaved rounds.

    Args:
        works: The work by name.
        clock: Times blocks of calls.
        settings: When to stop.
        rng: Shuffles each round.
        reference: The one that goes on in every round as long as any other does, for ratios.
        attending: Told the name of the work about to be called, so that a hang can be put down to it.
        watch: Looks at the card after each block, which spoils the sample where the card was slowed down, and rests
            where that was for heat; by default nothing ever is.
        clocks: Those of work that is timed by another one, by name.
        marked: What a block of a work stands in, such as a range of a profiler.
        lost: Asked where work has raised: whether this process can go on with nothing.
        alike: Those whose blocks are to have the same number of calls, as they must where processes take turns.

    Returns:
        The series of each, with the rounds they took part in. Work that raises keeps its error and takes no more part.

    Raises:
        ContextLostError: Work has raised, and all is lost.
    """
    series = {name: WorkSamples() for name in works}
    active = set(works)
    clock_of = {name: (clocks or {}).get(name, clock) for name in works}

    @contextmanager
    def turn(name: str) -> Iterator[WorkSamples]:
        attending(name)
        try:
            with marked(name):
                yield series[name]
        except (Exception, SystemExit) as error:
            if lost():
                raise ContextLostError(in_words(error)) from error
            series[name].error = error
            active.discard(name)

    for name, work in works.items():
        with turn(name) as one:
            one.calls = _calls(clock_of[name], warm_up(work, clock_of[name], settings), settings)

    _even_out([series[name] for name in alike if name in active])
    round_number = 0
    with _garbage_held():
        while active - {reference} or (reference in active and len(series[reference].seconds) < settings.min_samples):
            going_on = active | ({reference} if reference and not series[reference].error else set())
            order = sorted(going_on)
            rng.shuffle(order)
            for name in order:
                with turn(name) as one:
                    timing, state = clock_of[name].time(works[name], one.calls), watch.look()
                    _take(one, round_number, timing, state, settings)
                    if state is not None:
                        watch.rest(state, partial(attending, name))
                    if name in active and (reason := _stop(one, settings)):
                        one.stop_reason = reason
                        active.discard(name)
            round_number += 1
    for one in series.values():
        one.stop_reason = THROTTLED if one.throttled else one.stop_reason or OTHERS_DONE
    return series


def _even_out(alike: Collection[WorkSamples]) -> None:
    """Give blocks the calls that the fastest has, up to MOST_LONGER times what each would have by itself.

    Between processes, blocks that each side sizes for itself leave a bias of some per cent: what the first calls of a
    block find cold is another part of it. Beyond such a factor of time nobody asks for per cents.
    """
    most = max((one.calls for one in alike), default=1)
    for one in alike:
        one.calls = min(most, MOST_LONGER * one.calls)


def _take(
    series: WorkSamples, round_number: int, timing: Timing, state: DeviceState | None, settings: Settings
) -> None:
    """Enter the block of a round, as a sample or, where it was spoiled and may be dropped, as dropped."""
    series.spent_s += timing.spent_s
    spoiled = () if state is None else throttled(state)
    series.throttled |= bool(spoiled) and _enough_dropped(series, settings)
    if spoiled and not series.throttled:
        series.dropped[round_number] = spoiled
    else:
        series.seconds[round_number] = timing.seconds / series.calls
        series.host_s[round_number] = timing.host_s / series.calls
        if state is not None:
            series.sm_clock_mhz[round_number] = state.sm_clock_mhz
            series.temperature_c[round_number] = state.temperature_c


def _enough_dropped(series: WorkSamples, settings: Settings) -> bool:
    """Whether a spoiled sample has to be kept: too many were dropped, or it is the last and there is no other."""
    drops = len(series.dropped)
    many = drops >= settings.min_samples and drops > MOST_DROPPED * (drops + len(series.seconds))
    return many or (not series.seconds and series.spent_s >= settings.limit_s)


def _stop(series: WorkSamples, settings: Settings) -> str:
    """Why to stop, or "" to go on."""
    count = len(series.seconds)
    # The interval needs a sort; looking at it at every tenth of the count so far is soon enough.
    due = count >= settings.min_samples and count % max(1, count // 10) == 0
    if due and series.summary.half_width <= settings.half_width:
        return PRECISE
    if series.spent_s >= settings.limit_s:
        return TIME_LIMIT
    return MAX_SAMPLES if count >= settings.max_samples else ""


@contextmanager
def _garbage_held() -> Iterator[None]:
    """Collect now and not again until the end: a collection inside a block would be put down to the work."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
