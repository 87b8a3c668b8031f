"""The clock of a device, on a fake accelerator with a time of its own."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.measure.clocks import COLD, WARM
from jacstrat.measure.device_clock import DeviceClock
from tests.measure.fakes import FakeAccelerator

US = 1000


def device_clock(device: FakeAccelerator, cache: str = WARM) -> DeviceClock:
    return DeviceClock(device, lambda: device.now_ns, cache)


def test_a_warm_block_starts_on_an_idle_device_behind_a_call_that_is_not_timed() -> None:
    device = FakeAccelerator()
    clock = device_clock(device)
    device.log.clear()
    timing = clock.time(device.work(200 * US), 2)
    assert device.log == ["work", "synchronize", "record", "work", "work", "record", "synchronize"]
    assert (clock.cache, clock.lead) == ("warm", 1)
    assert timing.seconds == pytest.approx(410e-6, rel=1e-12)
    assert timing.spent_s == pytest.approx((210 + 410) * 1e-6, rel=1e-12)


def test_each_cold_call_starts_on_an_idle_device_behind_a_flush_of_its_own() -> None:
    device = FakeAccelerator()
    clock = device_clock(device, COLD)
    device.log.clear()
    timing = clock.time(device.work(200 * US), 3)
    assert device.log == [*["flush", "synchronize", "record", "work", "record"] * 3, "synchronize"]
    assert (clock.cache, clock.lead) == ("cold", 0)
    # Each call is 10 us of launching and 200 us of work: no launch is hidden behind the call before.
    assert timing.seconds == pytest.approx(630e-6, rel=1e-12)
    assert timing.host_s == pytest.approx(30e-6, rel=1e-12)
    # A flush takes 100 us and 10 to launch, in which the device still works on the call before.
    assert timing.spent_s == pytest.approx((110 + 210 + 2 * (100 + 210)) * 1e-6, rel=1e-12)


def test_no_cache_is_flushed_for_warm_calls_on_a_device() -> None:
    device = FakeAccelerator()
    clock = device_clock(device)
    clock.time(device.work(5 * US), 3)
    clock.waits(device.work(5 * US))
    assert "flush" not in device.log


def test_device_time_is_that_between_events_and_leaves_out_the_flush() -> None:
    device = FakeAccelerator()
    # The host is done after three launches of 10 us; the device starts after the first and then works without a gap.
    timing = device_clock(device).time(device.work(200 * US), 3)
    assert timing.seconds == pytest.approx(610e-6, rel=1e-12)
    assert timing.host_s == pytest.approx(30e-6, rel=1e-12)


def test_a_device_that_waits_for_its_launches_takes_as_long_as_the_host() -> None:
    device = FakeAccelerator()
    timing = device_clock(device).time(device.work(2 * US), 3)
    assert timing.seconds == pytest.approx(32e-6, rel=1e-12)
    assert timing.host_s == pytest.approx(30e-6, rel=1e-12)


def test_work_left_on_another_stream_has_ended_before_the_next_block() -> None:
    device = FakeAccelerator()
    clock = device_clock(device)
    left = clock.time(device.work(5000 * US, queue="side"), 1)
    assert left.seconds == pytest.approx(10e-6, rel=1e-12)
    assert device.now_ns >= 5000 * US
    assert clock.time(device.work(200 * US), 1).seconds == pytest.approx(210e-6, rel=1e-12)


def test_the_tick_of_a_device_is_the_resolution_of_its_events_or_the_cost_of_recording_them() -> None:
    device = FakeAccelerator()
    assert device_clock(device).tick_s == 5e-7

    class Slow(FakeAccelerator):
        def record(self, event: SimpleNamespace) -> None:
            super().record(event)
            self.now_ns += 3 * US

    assert device_clock(Slow()).tick_s == pytest.approx(3e-6, rel=1e-12)


def test_work_that_launches_nothing_takes_a_tick() -> None:
    device = FakeAccelerator()
    timing = device_clock(device).time(lambda: None, 5)
    assert (timing.seconds, timing.host_s) == (5e-7, 0)


def test_work_that_synchronises_by_itself_is_noticed() -> None:
    device = FakeAccelerator()
    clock = device_clock(device)
    queues, waits = device.work(200 * US), device.work(200 * US, then_wait=True)
    assert clock.waits(queues) is False
    assert clock.waits(waits) is True
    assert (clock.time(waits, 3).seconds, clock.time(waits, 3).host_s) == pytest.approx((630e-6, 630e-6), rel=1e-12)


def test_work_that_the_host_holds_up_does_not_count_as_synchronising() -> None:
    device = FakeAccelerator()
    clock = device_clock(device)
    timing = clock.time(device.work(1), 50)
    assert timing.seconds == pytest.approx(timing.host_s, rel=1e-5)
    assert clock.waits(device.work(1)) is False


def test_a_hiccup_of_the_host_does_not_count_as_synchronising() -> None:
    device = FakeAccelerator()
    clock = device_clock(device)
    calls = count()

    def hiccup() -> None:
        device.launch("work", 200 * US)
        device.now_ns += 10_000 * US if next(calls) == 1 else 0  # in the first try: call 0 takes the host time

    assert clock.waits(hiccup) is False
    assert next(calls) == 3


def test_the_hold_is_four_times_the_host_time_of_a_call() -> None:
    device = FakeAccelerator()
    clock = device_clock(device)
    device.log.clear()
    assert clock.waits(device.work(200 * US)) is False
    # A call is 10 us of the host. Three holds take the device 3010 us and the host 30 us, so that each holds 993 us.
    assert device.log[-4:] == ["hold", "record", "work", "synchronize"]
    assert device.log.count("hold") == 1 + 3 + 1
    slow = FakeAccelerator.LAUNCH_NS * 99

    def launches() -> None:
        device.now_ns += slow
        device.launch("work", 200 * US)

    device.log.clear()
    assert clock.waits(launches) is False
    assert device.log.count("hold") == 1 + 3 + 5  # 4 ms in steps of 993 us


@pytest.mark.parametrize("host_us", [10, 3_000, 50_000])
def test_waiting_is_told_from_queueing_where_the_host_is_slow(host_us: int) -> None:
    """A product of 2.7 ms that is read at once, as on the card on which no flush held it long enough to tell."""
    device = FakeAccelerator()
    clock = device_clock(device)

    def call(then_wait: bool):
        def run() -> None:
            device.now_ns += host_us * US
            device.work(2_700 * US, then_wait=then_wait)()

        return run

    assert clock.waits(call(then_wait=True)) is True
    assert clock.waits(call(then_wait=False)) is False


def test_where_there_is_no_memory_to_hold_the_device_with_it_is_not_told() -> None:
    class Full(FakeAccelerator):
        def hold(self) -> None:
            raise torch.OutOfMemoryError("no memory")

    device = Full()
    assert device_clock(device).waits(device.work(200 * US)) is None


def test_a_full_queue_looks_like_synchronising() -> None:
    device = FakeAccelerator(depth=20)
    clock = device_clock(device)

    def loop() -> None:
        for _ in range(60):
            device.launch("work", 1)

    assert clock.waits(loop) is True


def test_a_call_that_is_too_long_to_hold_the_device_is_not_told() -> None:
    device = FakeAccelerator()
    clock = device_clock(device)

    def slow() -> None:
        device.now_ns += 80_000 * US
        device.launch("work", 1)

    assert clock.waits(slow) is None


def test_a_device_that_is_done_with_a_hold_before_the_next_is_queued_is_not_told() -> None:
    class Fast(FakeAccelerator):
        HOLD_NS = 1

    device = Fast()
    assert device_clock(device).waits(device.work(200 * US)) is None


@given(
    launches=st.lists(st.tuples(st.integers(1, 10**6), st.booleans()), min_size=1, max_size=20),
    calls=st.integers(1, 20),
)
def test_device_time_is_never_less_than_the_work_nor_than_the_host_with_its_waits(
    launches: list[tuple[int, bool]], calls: int
) -> None:
    device = FakeAccelerator()
    clock = device_clock(device)

    def work() -> None:
        for device_ns, wait in launches:
            device.work(device_ns, then_wait=wait)()

    timing = clock.time(work, calls)
    alone = calls * sum(device_ns for device_ns, _ in launches) / 1e9
    queueing = calls * len(launches) * FakeAccelerator.LAUNCH_NS / 1e9
    assert max(alone, timing.host_s) * (1 - 1e-9) <= timing.seconds <= (alone + queueing) * (1 + 1e-9)
    if any(wait for _, wait in launches) and clock.waits(work) is not None:
        assert clock.waits(work) is True
