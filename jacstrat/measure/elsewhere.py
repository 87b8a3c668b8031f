"""Work that another process does, and a clock by which processes take turns."""

from __future__ import annotations

import time
from collections.abc import Callable

from jacstrat.graphs import Work
from jacstrat.measure.clocks import Clock, Timing

# Threads that have just computed spin for a moment before they sleep; the other process starts after that.
SETTLE_S = 5e-3
# Shortest block of processes that take turns: what the first call after a change finds cold is a small part of it.
TURN_S = 10e-3


class Elsewhere:
    """Work that another process does, and times by its own clock: a call from here would time the way there, too.

    Args:
        work: One call from here, which hands over what it works on; made once, so that later calls are of that.
        seconds: (calls) -> seconds that so many calls in a row take there.
    """

    def __init__(self, work: Work, seconds: Callable[[int], float]) -> None:
        self._work, self.seconds = work, seconds
        work()

    def __call__(self) -> object:
        return self._work()


class Turns:
    """Another clock, for work of which some is done Elsewhere: processes take turns, and each begins when it is quiet.

    Times of both kinds are those of a block of calls that are made in a row, waited for at the end.
    """

    def __init__(self, clock: Clock, sleep: Callable[[float], object] = time.sleep) -> None:
        self._clock, self._sleep = clock, sleep
        self._before: Work | None = None
        self.tick_s, self.cache, self.lead = clock.tick_s, clock.cache, clock.lead

    def time(self, work: Work, calls: int) -> Timing:
        before, self._before = self._before, work
        if before is not work and (isinstance(before, Elsewhere) or isinstance(work, Elsewhere)):
            self._sleep(SETTLE_S)
        if not isinstance(work, Elsewhere):
            return self._clock.time(work, calls)
        seconds = work.seconds(calls)
        return Timing(seconds, seconds)

    def waits(self, work: Work) -> bool | None:
        return None if isinstance(work, Elsewhere) else self._clock.waits(work)
