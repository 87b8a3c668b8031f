"""Processes that take turns."""

from __future__ import annotations

import pytest

from jacstrat.measure.clocks import Timing
from jacstrat.measure.elsewhere import SETTLE_S, Elsewhere, Turns
from tests.measure.fakes import FakeClock


def test_processes_take_turns_and_begin_when_it_is_quiet() -> None:
    clock, slept, told = FakeClock(), [], []

    def seconds(calls: int) -> float:
        told.append(calls)
        return 2e-3 * calls

    placed = []
    there, here, also = Elsewhere(lambda: placed.append(1), seconds), clock.work(1e-3), clock.work(1e-3)
    assert placed == [1]
    turns = Turns(clock, slept.append)
    assert turns.tick_s == clock.tick_s
    assert turns.time(here, 3) == Timing(pytest.approx(3e-3), pytest.approx(3e-3))
    assert slept == []
    # A block elsewhere is timed there, and none of it by this clock.
    assert turns.time(there, 5) == Timing(1e-2, 1e-2)
    assert turns.time(there, 5).seconds == 1e-2
    assert (told, slept, clock.blocks) == ([5, 5], [SETTLE_S], [3])
    turns.time(here, 1)
    turns.time(also, 1)
    assert slept == [SETTLE_S] * 2
    assert turns.waits(there) is None
    assert there() is None
    assert placed == [1, 1]
