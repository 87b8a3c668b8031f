"""What a device did in a call: kernels and the time in them, by torch's profiler in a pass that nothing is timed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function

from jacstrat.graphs import Work
from jacstrat.measure.ranges import Ranges, ranges_for

# Calls that are looked at. The profiler slows launches down, and kernels not.
CALLS = 3
# What the profiler is asked for, by type of device.
KINDS = {"cuda": ProfilerActivity.CUDA, "xpu": ProfilerActivity.XPU}
# A call that takes longer is looked at once.
LONG_S = 0.1


@dataclass(frozen=True)
class Activity:
    """What the device did in one call.

    Fields:
        kernels: Kernels, copies and fills that it ran.
        kernel_s: Seconds in which at least one of them ran.
    """

    kernels: int
    kernel_s: float


def activity(spans: Iterable[tuple[float, float]], calls: int) -> Activity | None:
    """The activity of one of so many calls, from begin and end of all that ran, in seconds.

    None where nothing ran, and where the calls did not run alike: a profiler may lose what ran first, and what is left
    is no call.
    """
    ordered = sorted(spans)
    if not ordered or len(ordered) % calls:
        return None
    busy_s, until = 0.0, ordered[0][0]
    for begin, end in ordered:
        busy_s += max(end - max(begin, until), 0.0)
        until = max(until, end)
    return Activity(len(ordered) // calls, busy_s / calls)


def observed(
    work: Work,
    device: torch.device,
    name: str,
    call_s: float = 0.0,
    trace: Path | None = None,
    ranges: Ranges | None = None,
    profiler: Callable[..., Any] = profile,
) -> Activity | None:
    """What the device does in a call of work that was called before.

    Args:
        work: What to call: once unseen, then CALLS times, or once where a call is long.
        device: Where it runs.
        name: Of the case: a range of its name stands around the calls, and one named "call" around each.
        call_s: What a call takes.
        trace: A file for what torch's profiler saw, operations of the host, too, as a Chrome trace.
        ranges: Names ranges for other profilers; by default those of the device.
        profiler: That of torch.

    Returns:
        None on a CPU, where the profiler sees no device, which another one, such as Nsight, may hold, and where it saw
        no whole number of operations a call.
    """
    ranges = ranges_for(device) if ranges is None else ranges
    has_host = trace is not None or device.type == "cpu"
    calls = 1 if call_s > LONG_S else CALLS
    work()
    _synchronize(device)
    # The ranges first: another profiler that keeps torch's from its device is to see them.
    with ranges(name), profiler(activities=_activities(device, has_host)) as seen, record_function(name):
        for _ in range(calls):
            with ranges("call"), record_function("call"):
                work()
        _synchronize(device)
    if trace is not None:
        trace.parent.mkdir(parents=True, exist_ok=True)
        seen.export_chrome_trace(str(trace))
    return None if device.type == "cpu" else activity(_spans(seen.events() or ()), calls)


def _synchronize(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def is_seen(device: torch.device) -> bool:
    """Whether torch's profiler sees what a device of this kind does."""
    return device.type in KINDS


def _activities(device: torch.device, has_host: bool) -> list[ProfilerActivity]:
    return [ProfilerActivity.CPU] * has_host + [kind for name, kind in KINDS.items() if name == device.type]


def _spans(events: Iterable[Any]) -> list[tuple[float, float]]:
    """Begin and end, in seconds, of what ran on the device; ranges that were named are no work of it."""
    return [
        (event.time_range.start / 1e6, event.time_range.end / 1e6)
        for event in events
        if event.device_type != DeviceType.CPU and not getattr(event, "is_user_annotation", False)
    ]
