"""Clocks: the time of a block of calls, on the host or on an accelerator, behind one small interface."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor

Work = Callable[[], object]

# Readings of nothing whose median is the tick of a device clock.
TICK_READINGS = 9

# The device is held busy for this many times the host time of a call, so that a call which takes longer waited for it.
HOLD = 4
# Once in a while the system takes the host away for longer than that; not in every one of a few tries.
HOLD_TRIES = 3
# Flushes to time, and the most of them to hold the device with: its queue (about 1000 launches on CUDA) takes these and
# leaves room for the work.
HOLD_FLUSHES = 10
MOST_FLUSHES = 256


@dataclass(frozen=True)
class Timing:
    """The time of a block of calls, in seconds.

    Fields:
        seconds: What is reported: host time on the CPU, device time on an accelerator.
        host_s: Host time until the last call had returned; on an accelerator its work can still be under way then.
    """

    seconds: float
    host_s: float


class Clock(Protocol):
    """Times blocks of calls. `tick_s` is the shortest time that two readings can tell apart."""

    tick_s: float

    def time(self, work: Work, calls: int) -> Timing:
        """The time of `calls` calls in a row; everything they started has ended on return."""
        ...

    def waits(self, work: Work) -> bool | None:
        """Whether the host waits for the device inside a call; None where there is no device or it cannot be told."""
        ...


class Elsewhere:
    """Work that another process does, and times by its own clock: a call from here would time the way there, too.

    Args:
        work: One call from here, which hands over what it works on; made once, so that later calls are of that.
        seconds: (calls) -> seconds that so many calls in a row take there.
    """

    def __init__(self, work: Work, seconds: Callable[[int], float]) -> None:
        self._work, self.seconds = work, seconds
        work()

    def __call__(self) -> object:
        return self._work()


# Threads that have just computed spin for a moment before they sleep; the other process starts after that.
SETTLE_S = 5e-3
# Shortest block of processes that take turns: what the first call after a change finds cold is a small part of it.
TURN_S = 10e-3


class Turns:
    """Another clock, for work of which some is done Elsewhere: processes take turns, and each begins when it is quiet.

    Times of both kinds are those of a block of calls that are made in a row, waited for at the end.
    """

    def __init__(self, clock: Clock, sleep: Callable[[float], object] = time.sleep) -> None:
        self._clock, self._sleep = clock, sleep
        self._before: Work | None = None
        self.tick_s = clock.tick_s

    def time(self, work: Work, calls: int) -> Timing:
        before, self._before = self._before, work
        if before is not work and (isinstance(before, Elsewhere) or isinstance(work, Elsewhere)):
            self._sleep(SETTLE_S)
        if not isinstance(work, Elsewhere):
            return self._clock.time(work, calls)
        seconds = work.seconds(calls)
        return Timing(seconds, seconds)

    def waits(self, work: Work) -> bool | None:
        return None if isinstance(work, Elsewhere) else self._clock.waits(work)


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

    def waits(self, work: Work) -> bool | None:
        return None


class Device(Protocol):
    """What a device clock needs of an accelerator; torch's, or a fake in tests."""

    event_tick_s: float

    def event(self) -> Any:
        """A new timing event, not recorded."""
        ...

    def record(self, event: Any) -> None:
        """Queue an event on the current stream: it passes when everything queued there before is done."""
        ...

    def passed(self, event: Any) -> bool:
        """Whether an event has passed, without waiting for it."""
        ...

    def elapsed_s(self, begin: Any, end: Any) -> float:
        """Seconds of device time between two events that have passed."""
        ...

    def synchronize(self) -> None:
        """Wait until every stream of the device is idle."""
        ...

    def flush(self) -> None:
        """Queue a write over the device's cache, so that a sample starts cold."""
        ...


class DeviceClock:
    """Device time between two events around a block of calls, on a device that was idle, its cache flushed.

    The flush is over before the block begins: a queue that is full from the start would hide a part of the launches,
    more of a short block than of a long one. Nothing is freed between blocks, so that the caching allocator serves
    each call from what the warm-up left. The events are recorded on the current stream: what work leaves on a stream
    that this one does not wait for has ended on return and is not in `seconds`.

    tick_s is the resolution of events, or the time between two with nothing between them, whichever is longer.
    """

    def __init__(self, device: Device, now_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._device = device
        self._now_ns = now_ns
        nothing = [self.time(lambda: None, 0).seconds for _ in range(TICK_READINGS)]
        self.tick_s = statistics.median(nothing)

    def time(self, work: Work, calls: int) -> Timing:
        device, now = self._device, self._now_ns
        begin, end = device.event(), device.event()
        repeat = range(calls)
        device.flush()
        device.synchronize()
        device.record(begin)
        start_ns = now()
        for _ in repeat:
            work()
        host_s = (now() - start_ns) / 1e9
        device.record(end)
        device.synchronize()
        # Work that launches nothing takes no more than a tick, and not 0, which nothing can be divided by.
        return Timing(max(device.elapsed_s(begin, end), device.event_tick_s), host_s)

    def waits(self, work: Work) -> bool | None:
        """Whether the host waits for the device inside a call: the work synchronises by itself, as `item` does.

        Host time about as long as device time is no sign of it, since a device that waits for its next launch takes
        as long as the host, too. So the device is given HOLD times the host time of a call to do first, then the
        work is called. A call that only queues its work returns while the device is still busy with that; one that
        synchronises returns after.

        A call that launches more than the device's queue takes waits for room in it, and looks the same. A wait for
        less than everything queued before, such as for an event of another stream, goes unnoticed.

        Returns:
            None where a call takes the host too long to hold the device, or where flushes do not hold it.
        """
        device = self._device
        host_s = self.time(work, 1).host_s
        flushes = self.time(device.flush, HOLD_FLUSHES)
        # While the host queues a flush, the device does away with a part of the hold.
        held_s = (flushes.seconds - flushes.host_s) / HOLD_FLUSHES
        if HOLD * host_s > MOST_FLUSHES * held_s:
            return None
        for _ in range(HOLD_TRIES):
            held = device.event()
            for _ in range(math.ceil(HOLD * host_s / held_s)):
                device.flush()
            device.record(held)
            work()
            waited = device.passed(held)
            device.synchronize()
            if not waited:
                return False
        return True


class TorchDevice:
    """The accelerator that torch computes on, through torch.accelerator and torch.Event: cuda (ROCm too), xpu, mps."""

    # Of cudaEventElapsedTime. Metal's events are stamped by the host as it hears of them; the others state nothing.
    event_tick_s = 0.5e-6

    def __init__(self, device: str | torch.device) -> None:
        named = torch.device(device)
        index = torch.accelerator.current_device_index() if named.index is None else named.index
        self._device = torch.device(named.type, index)
        self._waste = waste(self._device)

    def event(self) -> Any:
        return torch.Event(self._device, enable_timing=True)

    def record(self, event: Any) -> None:
        # Without a stream torch takes that of the current device, which can be another one.
        event.record(torch.accelerator.current_stream(self._device))

    def passed(self, event: Any) -> bool:
        return bool(event.query())

    def elapsed_s(self, begin: Any, end: Any) -> float:
        try:
            return float(begin.elapsed_time(end)) / 1e3
        except RuntimeError as error:
            # Metal's stamps of two events with nothing between them can be equal or swapped, which torch refuses.
            if "was not recorded after" not in str(error):
                raise
            return 0.0

    def synchronize(self) -> None:
        torch.accelerator.synchronize(self._device)

    def flush(self) -> None:
        self._waste.zero_()


# Written to flush a cache whose size torch does not tell; larger than the caches of present accelerators (H200: 50 MB,
# MI300X: 256 MB behind an L2 of 4 MB).
FLUSH_BYTES = 512 * 2**20
# Of the size that torch tells: once over leaves lines behind where the cache does not replace its oldest first.
FLUSH_TIMES = 2


@cache
def waste(device: torch.device) -> Tensor:
    """The buffer that a flush of the device's cache writes, one a process."""
    return torch.empty(flush_bytes(device), dtype=torch.uint8, device=device)


def flush_bytes(device: torch.device) -> int:
    """Bytes to write so that nothing else is left in the device's last cache."""
    read = getattr(torch.get_device_module(device), "get_device_properties", None)
    # ROCm tells the L2 of one die and leaves out the cache behind it.
    if read is None or torch.version.hip is not None:
        return FLUSH_BYTES
    properties = read(device)
    size = getattr(properties, "L2_cache_size", None) or getattr(properties, "last_level_cache_size", None)
    return FLUSH_TIMES * size if size else FLUSH_BYTES


def clock_for(device: str) -> Clock:
    """The clock of a device, "cpu" or whatever torch.accelerator has."""
    return HostClock() if torch.device(device).type == "cpu" else DeviceClock(TorchDevice(device))
