"""Clocks: the time of a block of calls, on the host or on an accelerator, behind one small interface."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch

Work = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """The time of a block of calls, in seconds.

    Fields:
        seconds: What is reported: host time on the CPU, device time on an accelerator.
        host_s: Host time until the last call had returned; on an accelerator that is before its work is done.
    """

    seconds: float
    host_s: float


class Clock(Protocol):
    """Times blocks of calls."""

    tick_s: float

    def time(self, work: Work, calls: int) -> Timing:
        """The time of `calls` calls in a row; everything they started has ended on return."""
        ...


class HostClock:
    """The monotonic clock of the host, for work that is done when its call returns.

    tick_s is the shortest time that two readings can tell apart: the clock's resolution or the cost of reading it,
    whichever is longer.
    """

    def __init__(self, now_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._now_ns = now_ns
        steps = []
        for _ in range(100):
            begin = end = now_ns()
            while end == begin:
                end = now_ns()
            steps.append(end - begin)
        self.tick_s = sorted(steps)[len(steps) // 2] / 1e9

    def time(self, work: Work, calls: int) -> Timing:
        now = self._now_ns
        repeat = range(calls)
        begin = now()
        for _ in repeat:
            work()
        seconds = (now() - begin) / 1e9
        return Timing(seconds, seconds)


class Device(Protocol):
    """What a device clock needs of an accelerator; torch's, or a fake in tests."""

    event_tick_s: float

    def event(self) -> Any:
        """A new timing event with `record()` and `elapsed_time(other)` in milliseconds."""
        ...

    def synchronize(self) -> None:
        """Wait until the device is idle."""
        ...

    def flush(self) -> None:
        """Overwrite the device's cache, so that a sample starts cold."""
        ...


class TorchDevice:
    """The accelerator that torch computes on, through torch.accelerator and torch.Event."""

    # Event timestamps have half a microsecond on CUDA; other backends state nothing finer.
    event_tick_s = 0.5e-6
    # Larger than the last-level cache of any present accelerator (H200: 50 MB, MI300X: 256 MB).
    FLUSH_BYTES = 512 * 2**20

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._waste = torch.empty(self.FLUSH_BYTES, dtype=torch.uint8, device=self._device)

    def event(self) -> Any:
        return torch.Event(self._device, enable_timing=True)

    def synchronize(self) -> None:
        torch.accelerator.synchronize(self._device)

    def flush(self) -> None:
        self._waste.zero_()


class DeviceClock:
    """Device time between two events around a block of calls, the cache flushed before it."""

    def __init__(self, device: Device, now_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._device = device
        self._now_ns = now_ns
        self.tick_s = device.event_tick_s

    def time(self, work: Work, calls: int) -> Timing:
        device = self._device
        begin, end = device.event(), device.event()
        device.flush()
        device.synchronize()
        start_ns = self._now_ns()
        begin.record()
        for _ in range(calls):
            work()
        end.record()
        host_s = (self._now_ns() - start_ns) / 1e9
        device.synchronize()
        return Timing(begin.elapsed_time(end) / 1e3, host_s)


def clock_for(device: str) -> Clock:
    """The clock of a device, "cpu" or whatever torch.accelerator has."""
    return HostClock() if torch.device(device).type == "cpu" else DeviceClock(TorchDevice(device))
