"""Clocks: the time of a block of calls, on the host or on an accelerator, behind one small interface."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from types import MappingProxyType
from typing import Any, Protocol

import torch
from torch import Tensor

from jacstrat.measure.hardware import last_cache_bytes

Work = Callable[[], object]

COLD, WARM = "cold", "warm"
CACHES: Mapping[str, str] = MappingProxyType(
    {
        WARM: "a call follows one of the same work, as in a loop",
        COLD: "the last cache is flushed before every call, and on a device the call starts with nothing queued",
    }
)
"""What a timed call finds in the caches."""

# Readings of nothing whose median is the tick of a device clock.
TICK_READINGS = 9

# The device is held busy for this many times the host time of a call, so that a call which takes longer waited for it.
HOLD = 4
# Once in a while the system takes the host away for longer than that; not in every one of a few tries.
HOLD_TRIES = 3
# Holds to time, and the most of them to hold the device with: its queue (about 1000 launches on CUDA) takes these and
# leaves room for the work.
HOLDS_TIMED = 3
MOST_HOLDS = 256
# One is a product of square matrices of float32: 0.3 to 1 ms on a data-centre card, many times its launch, so that also
# a call that takes a slow host 50 ms can be told.
HOLD_N = 3072


@dataclass(frozen=True)
class Timing:
    """The time of a block of calls, in seconds.

    Fields:
        seconds: What is reported: host time on the CPU, device time on an accelerator.
        host_s: Host time until the last call had returned; on an accelerator its work can still be under way then.
        beside_s: Host time that it took beside these: flushes, a call that is not timed.
    """

    seconds: float
    host_s: float
    beside_s: float = 0.0

    @property
    def spent_s(self) -> float:
        """What taking it took."""
        return max(self.seconds, self.host_s) + self.beside_s


class Clock(Protocol):
    """Times blocks of calls.

    Fields:
        tick_s: The shortest time that two readings can tell apart.
        cache: WARM or COLD, see CACHES.
        lead: Calls that are made before a block and not timed.
    """

    tick_s: float
    cache: str
    lead: int

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
        self.tick_s, self.cache, self.lead = clock.tick_s, clock.cache, clock.lead

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
    whichever is longer. Calls of a block follow each other; the first of them finds what other work has left.

    Args:
        now_ns: Nanoseconds of a monotonic clock.
        flush: Called before every call, each of which is timed by itself then; None for a warm cache.
    """

    lead = 0

    def __init__(
        self, now_ns: Callable[[], int] = time.perf_counter_ns, flush: Callable[[], object] | None = None
    ) -> None:
        self._now_ns = now_ns
        self._flush = flush
        self.cache = WARM if flush is None else COLD
        steps = []
        for _ in range(100):
            begin = end = now_ns()
            while end == begin:
                end = now_ns()
            steps.append(end - begin)
        self.tick_s = sorted(steps)[len(steps) // 2] / 1e9

    def time(self, work: Work, calls: int) -> Timing:
        if self._flush is not None:
            return self._cold(work, calls, self._flush)
        now = self._now_ns
        repeat = range(calls)
        begin = now()
        for _ in repeat:
            work()
        seconds = (now() - begin) / 1e9
        return Timing(seconds, seconds)

    def _cold(self, work: Work, calls: int, flush: Callable[[], object]) -> Timing:
        now, seconds_ns, beside_ns = self._now_ns, 0, 0
        for _ in range(calls):
            before = now()
            flush()
            begin = now()
            work()
            seconds_ns += now() - begin
            beside_ns += begin - before
        return Timing(seconds_ns / 1e9, seconds_ns / 1e9, beside_ns / 1e9)

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
        """Queue a write over the device's cache, so that a call starts cold."""
        ...

    def hold(self) -> None:
        """Queue one operation that keeps the device busy for many times what queueing it takes."""
        ...


class DeviceClock:
    """Device time between two events around calls, on a device that was idle.

    Warm, a block is one call that is not timed, then the calls between two events. Cold, each call has events of its
    own, behind a flush. What comes before is over when the first event is recorded: a queue that is full from the start
    would hide a part of the launches, more of a short block than of a long one. Nothing is freed between blocks, so
    that the caching allocator serves each call from what the warm-up left. The events are recorded on the current
    stream: what work leaves on a stream that this one does not wait for has ended on return and is not in `seconds`.

    tick_s is the resolution of events, or the time between two with nothing between them, whichever is longer.
    """

    def __init__(self, device: Device, now_ns: Callable[[], int] = time.perf_counter_ns, cache: str = WARM) -> None:
        self._device = device
        self._now_ns = now_ns
        self.cache = cache
        self.lead = 1 if cache == WARM else 0
        nothing = [self._warm(lambda: None, 0).seconds for _ in range(TICK_READINGS)]
        self.tick_s = statistics.median(nothing)

    def time(self, work: Work, calls: int) -> Timing:
        before_ns = self._now_ns()
        timing = self._warm(work, calls) if self.cache == WARM else self._cold(work, calls)
        spent_s = (self._now_ns() - before_ns) / 1e9
        return Timing(timing.seconds, timing.host_s, max(spent_s - timing.spent_s, 0.0))

    def _warm(self, work: Work, calls: int) -> Timing:
        device, now = self._device, self._now_ns
        begin, end = device.event(), device.event()
        repeat = range(calls)
        work()
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

    def _cold(self, work: Work, calls: int) -> Timing:
        device, now = self._device, self._now_ns
        pairs = [(device.event(), device.event()) for _ in range(calls)]
        host_ns = 0
        for begin, end in pairs:
            device.flush()
            device.synchronize()
            device.record(begin)
            start_ns = now()
            work()
            host_ns += now() - start_ns
            device.record(end)
        device.synchronize()
        seconds = sum(max(device.elapsed_s(begin, end), device.event_tick_s) for begin, end in pairs)
        return Timing(seconds, host_ns / 1e9)

    def waits(self, work: Work) -> bool | None:
        """Whether the host waits for the device inside a call: the work synchronises by itself, as `item` does.

        Host time about as long as device time is no sign of it, since a device that waits for its next launch takes
        as long as the host, too. So the device is given HOLD times the host time of a call to do first, then the
        work is called. A call that only queues its work returns while the device is still busy with that; one that
        synchronises returns after.

        A call that launches more than the device's queue takes waits for room in it, and looks the same. A wait for
        less than everything queued before, such as for an event of another stream, goes unnoticed.

        Returns:
            None where a call takes the host too long to hold the device, or where the device cannot be held.
        """
        device = self._device
        host_s = self._warm(work, 1).host_s
        try:
            holds = self._warm(device.hold, HOLDS_TIMED)
        except torch.OutOfMemoryError:
            return None
        # While the host queues one, the device does away with a part of the hold.
        held_s = (holds.seconds - holds.host_s) / HOLDS_TIMED
        if HOLD * host_s > MOST_HOLDS * held_s:
            return None
        for _ in range(HOLD_TRIES):
            held = device.event()
            for _ in range(math.ceil(HOLD * host_s / held_s)):
                device.hold()
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
        waste(self._device).zero_()

    def hold(self) -> None:
        a, out = burden(self._device)
        torch.mm(a, a, out=out)


# Written to flush a cache whose size torch does not tell; larger than the caches of present accelerators (H200: 50 MB,
# MI300X: 256 MB behind an L2 of 4 MB).
FLUSH_BYTES = 512 * 2**20
# Of the size that torch tells: once over leaves lines behind where the cache does not replace its oldest first.
FLUSH_TIMES = 2


@cache
def waste(device: torch.device) -> Tensor:
    """The buffer that a flush of the device's cache writes, one a process."""
    return torch.empty(flush_bytes(device), dtype=torch.uint8, device=device)


@cache
def burden(device: torch.device) -> tuple[Tensor, Tensor]:
    """The factor and the result of the product that holds a device, one of each a process."""
    return torch.zeros(HOLD_N, HOLD_N, device=device), torch.zeros(HOLD_N, HOLD_N, device=device)


def flush_bytes(device: torch.device) -> int:
    """Bytes to write so that nothing else is left in the device's last cache."""
    if device.type == "cpu":
        size = last_cache_bytes()
        return FLUSH_TIMES * size if size else FLUSH_BYTES
    read = getattr(torch.get_device_module(device), "get_device_properties", None)
    # ROCm tells the L2 of one die and leaves out the cache behind it.
    if read is None or torch.version.hip is not None:
        return FLUSH_BYTES
    properties = read(device)
    size = getattr(properties, "L2_cache_size", None) or getattr(properties, "last_level_cache_size", None)
    return FLUSH_TIMES * size if size else FLUSH_BYTES


def clock_for(device: str, cache: str = WARM) -> Clock:
    """The clock of a device, "cpu" or whatever torch.accelerator has, of calls that find a warm or a cold cache."""
    named = torch.device(device)
    if named.type == "cpu":
        return HostClock(flush=None if cache == WARM else partial(_written, named))
    return DeviceClock(TorchDevice(device), cache=cache)


def _written(device: torch.device) -> None:
    waste(device).zero_()
