"""Where the time of a cell goes, by phase."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, get_args

Phase = Literal["set up", "reference", "prepare", "judge", "count", "sample", "energy", "waits", "profile"]
PHASES: tuple[Phase, ...] = get_args(Phase)


class Phases:
    """Seconds of host time by phase; what runs within another phase is that of its own alone.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._seconds: dict[Phase, float] = {}
        self._clock = clock
        self._open: list[Phase] = []
        self._since = clock()

    @contextmanager
    def within(self, phase: Phase) -> Iterator[None]:
        """All that runs in the block is of this phase, but for phases within it."""
        self._turn()
        self._open.append(phase)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def taken(self) -> dict[Phase, float]:
        """Seconds by phase since the last time that this was asked, of those that were entered."""
        self._turn()
        seconds, self._seconds = self._seconds, {}
        return seconds

    def _turn(self) -> None:
        now = self._clock()
        if self._open:
            phase = self._open[-1]
            self._seconds[phase] = self._seconds.get(phase, 0.0) + now - self._since
        self._since = now
