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
    COLD,
    FLUSH_BYTES,
    SETTLE_S,
    WARM,
    DeviceClock,
    Elsewhere,
    HostClock,
    Timing,
    TorchDevice,
    Turns,
    burden,
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


def test_the_flush_of_the_host_writes_twice_its_last_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "last_cache_bytes", lambda: 4096)
    waste.cache_clear()
    try:
        clock_for("cpu", COLD).time(lambda: None, 1)
        assert waste(torch.device("cpu")).numel() == 8192
        monkeypatch.setattr(clocks, "last_cache_bytes", lambda: None)
        assert flush_bytes(torch.device("cpu")) == FLUSH_BYTES
    finally:
        waste.cache_clear()


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
        buffer = waste(torch.device("meta"))
        assert (buffer.numel(), buffer.dtype) == (2048, torch.uint8)
        assert waste(torch.device("meta")) is buffer
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
        monkeypatch.setattr(clocks, "burden", lambda device: (f"factor on {device}", f"result on {device}"))
        monkeypatch.setattr(torch, "mm", lambda a, b, out: self.log.append(("product", a, b, out)))
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
        fake.log.clear()
        device.hold()
        assert fake.log == [("product", f"factor on {pinned}", f"factor on {pinned}", f"result on {pinned}")]


def test_what_holds_a_device_is_made_once_a_process() -> None:
    burden.cache_clear()
    factor, result = burden(torch.device("meta"))
    assert factor.shape == result.shape == (clocks.HOLD_N, clocks.HOLD_N)
    assert burden(torch.device("meta"))[0] is factor


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
