"""Energy of one call, from the card's own counter."""

from __future__ import annotations

import math
from typing import NamedTuple

from jacstrat.graphs import Work
from jacstrat.measure.card import DeviceSource
from jacstrat.measure.clocks import Clock

# Least device time between the two refreshes of the counter that are compared. Drivers refresh it every 20 to 100 ms.
BLOCK_S = 0.5
# Device time between two looks at the counter while its next refresh is awaited.
LOOK_S = 0.01
# A counter that has not moved after this much device time does not move.
MOST_REFRESH_S = 0.3
# In a block, however short a call is said to be.
MOST_CALLS = 1_000_000


class Refresh(NamedTuple):
    """The counter as it moved, and the calls it took until then."""

    joules: float
    calls: int


def energy_per_call(work: Work, call_s: float, clock: Clock, card: DeviceSource) -> float | None:
    """The energy that the card uses for one call, joules.

    The counter stands still between its refreshes, so that calls are counted from one refresh to another: short
    blocks until it moves, one long block, short blocks until it moves again. Either refresh is seen late by a short
    block at most, or by the time between two refreshes where that is less.

    Everything that the card uses meanwhile counts: its idle power, which is not subtracted, since it is a part of what
    a call costs; other work on the same card; flushes of the cache and the look at the counter between two blocks.

    Args:
        work: What to call, warmed up.
        call_s: Its device time, seconds.
        clock: Runs blocks of calls.
        card: Its energy counter is read between blocks.

    Returns:
        None where the card has no counter, where it does not move, or where it was reset meanwhile.
    """
    short, long = _calls(LOOK_S, call_s), _calls(BLOCK_S, call_s)
    begin = _next_refresh(work, short, call_s, clock, card)
    if begin is None:
        return None
    clock.time(work, long)
    end = _next_refresh(work, short, call_s, clock, card)
    if end is None or end.joules <= begin.joules:
        return None
    return (end.joules - begin.joules) / (clock.lead + long + end.calls)


def _calls(seconds: float, call_s: float) -> int:
    """Calls that take at least so long."""
    return max(1, math.ceil(min(seconds / max(call_s, 1e-9), MOST_CALLS)))


def _next_refresh(work: Work, calls: int, call_s: float, clock: Clock, card: DeviceSource) -> Refresh | None:
    """Call until the counter moves up; None where there is none, or it moves down or not at all."""
    before = card.energy_j()
    called, spent_s = 0, 0.0
    while before is not None and spent_s < MOST_REFRESH_S:
        timing = clock.time(work, calls)
        called += clock.lead + calls
        spent_s += timing.spent_s
        now = card.energy_j()
        if now is None or now < before:
            return None
        if now > before:
            return Refresh(now, called)
    return None
