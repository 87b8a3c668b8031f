"""The clock of an accelerator, by events on a device that was idle."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from typing import Any, Protocol

import torch

from jacstrat.graphs import Work
from jacstrat.measure.clocks import WARM, Timing

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
            hold = device.event()
            for _ in range(math.ceil(HOLD * host_s / held_s)):
                device.hold()
            device.record(hold)
            work()
            waited = device.passed(hold)
            device.synchronize()
            if not waited:
                return False
        return True
