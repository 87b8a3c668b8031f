"""Clocks: the host's by a counter, the device's on a fake accelerator with a time of its own."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.measure import clocks
from jacstrat.measure.clocks import (
    FLUSH_BYTES,
    SETTLE_S,
    DeviceClock,
    Elsewhere,
    HostClock,
    Timing,
    TorchDevice,
    Turns,
    clock_for,
    flush_bytes,
    waste,
)
from tests.measure.fakes import FakeAccelerator, FakeClock

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


def device_clock(device: FakeAccelerator) -> DeviceClock:
    return DeviceClock(device, lambda: device.now_ns)


def test_a_block_starts_on_an_idle_device_with_its_cache_flushed() -> None:
    device = FakeAccelerator()
    clock = device_clock(device)
    device.log.clear()
    clock.time(device.work(5 * US), 3)
    assert device.log == ["flush", "synchronize", "record", "work", "work", "work", "record", "synchronize"]


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
    # A call is 10 us of the host. Ten flushes take the device 1010 us and the host 100 us, so that each holds 91 us.
    assert device.log[-4:] == ["flush", "record", "work", "synchronize"]
    assert device.log.count("flush") == 1 + 11 + 1
    slow = FakeAccelerator.LAUNCH_NS * 9

    def launches() -> None:
        device.now_ns += slow
        device.launch("work", 200 * US)

    device.log.clear()
    assert clock.waits(launches) is False
    assert device.log.count("flush") == 1 + 11 + 5  # 400 us in steps of 91 us


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
        device.now_ns += 6000 * US
        device.launch("work", 1)

    assert clock.waits(slow) is None


def test_a_device_that_flushes_faster_than_the_host_queues_is_not_told() -> None:
    class Fast(FakeAccelerator):
        FLUSH_NS = 1

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


@pytest.fixture
def torch_module(monkeypatch: pytest.MonkeyPatch):
    """Lets `flush_bytes` ask a module with the given properties, of a torch for CUDA or ROCm."""

    def set_module(hip: str | None = None, **properties: int) -> None:
        module = SimpleNamespace(get_device_properties=lambda device: SimpleNamespace(**properties))
        monkeypatch.setattr(torch, "get_device_module", lambda device: module)
        monkeypatch.setattr(torch.version, "hip", hip)

    return set_module


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"L2_cache_size": 50 * 2**20}, 100 * 2**20),
        ({"last_level_cache_size": 200 * 2**20}, 400 * 2**20),
        ({"L2_cache_size": 0}, FLUSH_BYTES),
        ({}, FLUSH_BYTES),
        ({"L2_cache_size": 4 * 2**20, "hip": "6.4"}, FLUSH_BYTES),
    ],
)
def test_the_flush_writes_twice_the_cache_that_torch_tells(torch_module, told: dict, expected: int) -> None:
    torch_module(**told)
    assert flush_bytes(torch.device("cuda")) == expected


def test_a_device_without_properties_gets_the_largest_flush() -> None:
    assert flush_bytes(torch.device("mps", 0)) == FLUSH_BYTES


def test_the_buffer_of_the_flush_is_one_a_process(torch_module) -> None:
    torch_module(L2_cache_size=1024)
    waste.cache_clear()
    try:
        buffer = waste(torch.device("cpu"))
        assert (buffer.numel(), buffer.dtype) == (2048, torch.uint8)
        assert waste(torch.device("cpu")) is buffer
    finally:
        waste.cache_clear()


class FakeTorch:
    """What TorchDevice asks of torch.accelerator and torch.Event, every call written down."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[tuple] = []
        accelerator = torch.accelerator
        monkeypatch.setattr(accelerator, "current_device_index", lambda: 3)
        monkeypatch.setattr(accelerator, "current_stream", lambda device: f"stream of {device}")
        monkeypatch.setattr(accelerator, "synchronize", lambda device: self.log.append(("synchronize", str(device))))
        monkeypatch.setattr(torch, "Event", self.event)
        monkeypatch.setattr(clocks, "waste", self.waste)
        self.elapsed: float | Exception = 2.5

    def event(self, device: torch.device, enable_timing: bool) -> SimpleNamespace:
        def elapsed_time(other: object) -> float:
            if isinstance(self.elapsed, Exception):
                raise self.elapsed
            return self.elapsed

        self.log.append(("event", str(device), enable_timing))
        return SimpleNamespace(
            record=lambda stream: self.log.append(("record", stream)), elapsed_time=elapsed_time, query=lambda: True
        )

    def waste(self, device: torch.device) -> SimpleNamespace:
        return SimpleNamespace(zero_=lambda: self.log.append(("zero", str(device))))


def test_torch_is_asked_for_the_device_of_the_cell_and_its_current_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTorch(monkeypatch)
    for name, pinned in (("cuda:1", "cuda:1"), ("xpu", "xpu:3")):
        fake.log.clear()
        device = TorchDevice(name)
        begin, end = device.event(), device.event()
        device.flush()
        device.synchronize()
        device.record(begin)
        assert device.passed(begin)
        assert device.elapsed_s(begin, end) == 0.0025
        assert fake.log == [
            ("event", pinned, True),
            ("event", pinned, True),
            ("zero", pinned),
            ("synchronize", pinned),
            ("record", f"stream of {pinned}"),
        ]


def test_metal_stamps_that_are_swapped_count_as_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTorch(monkeypatch)
    device = TorchDevice("mps")
    event = device.event()
    fake.elapsed = RuntimeError("End event 2 was not recorded after start event 1")
    assert device.elapsed_s(event, event) == 0
    fake.elapsed = RuntimeError("the device is lost")
    with pytest.raises(RuntimeError, match="the device is lost"):
        device.elapsed_s(event, event)


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
