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

from jacstrat.core.errors import in_words
from jacstrat.graphs import Work
from jacstrat.measure.card import DeviceState, throttled
from jacstrat.measure.clocks import COLD, WARM, Clock, Timing
from jacstrat.measure.context import ContextLostError
from jacstrat.measure.watch import UNWATCHED, Watch
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
    marked: Callable[[str], AbstractContextManager[object]] = nullcontext,
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
    clock_of = {name: (clocks or {}).get(name, clock) for name in works}
    under_way = _Sampling(works, clock_of, settings, attending, watch, marked, lost)
    for name in works:
        under_way.warm_up(name)
    _even_out([under_way.series[name] for name in alike if name in under_way.active])
    number = 0
    with _garbage_held():
        while names := under_way.due(reference):
            rng.shuffle(names)
            for name in names:
                under_way.take_block(name, number)
            number += 1
    return under_way.ended()


@dataclass
class _Sampling:
    """Sampling under way: the arguments of `sample`, the series so far, and the names of those that go on."""

    works: Mapping[str, Work]
    clocks: Mapping[str, Clock]
    settings: Settings
    attending: Callable[[str], object]
    watch: Watch
    marked: Callable[[str], AbstractContextManager[object]]
    lost: Callable[[], bool]

    def __post_init__(self) -> None:
        self.series = {name: WorkSamples() for name in self.works}
        self.active = set(self.works)

    def warm_up(self, name: str) -> None:
        """Warm up, and size the block."""
        with self._turn(name) as series:
            call = warm_up(self.works[name], self.clocks[name], self.settings)
            series.calls = _calls(self.clocks[name], call, self.settings)

    def due(self, reference: str | None) -> list[str]:
        """Those that take part in the next round; none where sampling is over.

        The reference goes on as long as any other does, and by itself until it has its fewest samples.
        """
        few = reference in self.active and len(self.series[reference].seconds) < self.settings.min_samples
        if not (self.active - {reference} or few):
            return []
        beside = {reference} if reference and not self.series[reference].error else set()
        return sorted(self.active | beside)

    def take_block(self, name: str, round_number: int) -> None:
        """Time a block, let the card rest, and see whether that is enough."""
        with self._turn(name) as series:
            timing, state = self.clocks[name].time(self.works[name], series.calls), self.watch.look()
            _take(series, round_number, timing, state, self.settings)
            if state is not None:
                self.watch.rest(state, partial(self.attending, name))
            if name in self.active and (reason := _stop(series, self.settings)):
                series.stop_reason = reason
                self.active.discard(name)

    def ended(self) -> dict[str, WorkSamples]:
        """The series, each with why it ended."""
        for series in self.series.values():
            series.stop_reason = THROTTLED if series.throttled else series.stop_reason or OTHERS_DONE
        return self.series

    @contextmanager
    def _turn(self, name: str) -> Iterator[WorkSamples]:
        """All that is done with a piece of work; one that raises keeps its error and takes no more part."""
        self.attending(name)
        try:
            with self.marked(name):
                yield self.series[name]
        except (Exception, SystemExit) as error:
            if self.lost():
                raise ContextLostError(in_words(error)) from error
            self.series[name].error = error
            self.active.discard(name)


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
