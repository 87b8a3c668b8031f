"""The clock of the host, by a counter."""

from __future__ import annotations

from itertools import count

import pytest

from jacstrat.measure.clocks import COLD, WARM
from jacstrat.measure.host_clock import HostClock
from jacstrat.measure.torch_device import clock_for

US = 1000


def test_the_host_clock_reports_what_its_counter_says() -> None:
    ticks = count(0, 500)  # each reading 500 ns after the last
    clock = HostClock(lambda: next(ticks))
    assert clock.tick_s == pytest.approx(5e-7)
    calls = []
    timing = clock.time(lambda: calls.append(1), 7)
    assert len(calls) == 7
    assert timing.seconds == timing.host_s == pytest.approx(5e-7)


def test_the_real_host_clock_is_finer_than_ten_microseconds() -> None:
    assert 0 < HostClock().tick_s < 1e-5
    assert isinstance(clock_for("cpu"), HostClock)


def test_on_the_host_there_is_no_device_to_wait_for() -> None:
    assert HostClock().waits(lambda: pytest.fail("called")) is None


def test_on_the_host_each_cold_call_is_timed_by_itself_behind_a_flush() -> None:
    now_ns, log = 0, []

    def takes(name: str, ns: int):
        def run() -> None:
            nonlocal now_ns
            now_ns += ns
            log.append(name)

        return run

    def reading() -> int:
        nonlocal now_ns
        now_ns += 1
        return now_ns

    clock = HostClock(reading, takes("flush", 7000))
    assert (clock.cache, clock.lead, HostClock().cache) == (COLD, 0, WARM)
    timing = clock.time(takes("work", 500), 3)
    assert log == ["flush", "work"] * 3
    assert timing.seconds == timing.host_s == pytest.approx(3 * 501e-9)
    assert timing.spent_s == pytest.approx(3 * (7001 + 501) * 1e-9)
