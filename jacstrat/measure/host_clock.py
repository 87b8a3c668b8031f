"""The clock of the host."""

from __future__ import annotations

import time
from collections.abc import Callable

from jacstrat.graphs import Work
from jacstrat.measure.clocks import COLD, WARM, Timing


class HostClock:
    """The monotonic clock of the host, for work that is done when its call returns.

    tick_s is the shortest time that two readings can tell apart: the clock's resolution or the cost of reading it,
    whichever is longer. Calls of a block follow each other; the first of them finds what other work has left.

    Args:
        now_ns: Nanoseconds of a monotonic clock.
        flush: Called before every call, each of which is timed by itself then; None for a warm cache.
    """

    lead = 0

    def __init__(
        self, now_ns: Callable[[], int] = time.perf_counter_ns, flush: Callable[[], object] | None = None
    ) -> None:
        self._now_ns = now_ns
        self._flush = flush
        self.cache = WARM if flush is None else COLD
        steps = []
        for _ in range(100):
            begin = end = now_ns()
            while end == begin:
                end = now_ns()
            steps.append(end - begin)
        self.tick_s = sorted(steps)[len(steps) // 2] / 1e9

    def time(self, work: Work, calls: int) -> Timing:
        if self._flush is not None:
            return self._cold(work, calls, self._flush)
        now = self._now_ns
        repeat = range(calls)
        begin = now()
        for _ in repeat:
            work()
        seconds = (now() - begin) / 1e9
        return Timing(seconds, seconds)

    def _cold(self, work: Work, calls: int, flush: Callable[[], object]) -> Timing:
        now, seconds_ns, beside_ns = self._now_ns, 0, 0
        for _ in range(calls):
            before = now()
            flush()
            begin = now()
            work()
            seconds_ns += now() - begin
            beside_ns += begin - before
        return Timing(seconds_ns / 1e9, seconds_ns / 1e9, beside_ns / 1e9)

    def waits(self, work: Work) -> bool | None:
        return None
