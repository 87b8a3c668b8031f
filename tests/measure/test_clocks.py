"""Clocks: the host's by a counter, the device's on a fake accelerator with a time of its own."""

from __future__ import annotations

from itertools import count

import pytest
import torch

from jacstrat.measure.clocks import DeviceClock, HostClock, TorchDevice, clock_for


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


class FakeAccelerator:
    """A device that works through a queue in its own time, `device_ms`; enqueueing costs the host nothing."""

    event_tick_s = 1e-6

    def __init__(self) -> None:
        self.device_ms = 0.0
        self.queued_ms = 0.0
        self.log: list[str] = []

    def event(self):
        device = self

        class Event:
            def record(self) -> None:
                device.log.append("record")
                self.at_ms = device.device_ms + device.queued_ms

            def elapsed_time(self, other) -> float:
                assert device.queued_ms == 0, "read before the device was done"
                return other.at_ms - self.at_ms

        return Event()

    def synchronize(self) -> None:
        self.log.append("synchronize")
        self.device_ms += self.queued_ms
        self.queued_ms = 0.0

    def flush(self) -> None:
        self.log.append("flush")
        self.queued_ms += 0.3

    def launch(self, ms: float) -> None:
        self.log.append("work")
        self.queued_ms += ms


def test_device_time_is_that_between_events_and_leaves_out_the_flush() -> None:
    device = FakeAccelerator()
    now_ns = count(0, 2000)
    clock = DeviceClock(device, lambda: next(now_ns))
    assert clock.tick_s == 1e-6
    timing = clock.time(lambda: device.launch(5.0), 3)
    assert timing.seconds == pytest.approx(0.015)
    assert timing.host_s == pytest.approx(2e-6)
    assert device.log == ["flush", "synchronize", "record", "work", "work", "work", "record", "synchronize"]


@pytest.mark.gpu
def test_a_real_accelerator_takes_time_for_a_product() -> None:
    name = torch.accelerator.current_accelerator().type
    clock = clock_for(name)
    assert isinstance(clock, DeviceClock)
    x = torch.randn(2048, 2048, device=name)
    timing = clock.time(lambda: x @ x, 10)
    assert 1e-6 < timing.seconds < 10
    assert isinstance(clock._device, TorchDevice)
