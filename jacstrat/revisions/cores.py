"""Where a pair of processes is pinned."""

from __future__ import annotations

import os

import psutil

LOOK_S = 0.1


def idlest(count: int) -> tuple[int, ...]:
    """As many of the cores that this process may use as are asked for, those with the least to do in LOOK_S seconds.

    Empty where the system pins nothing, or has no more cores than are asked for.
    """
    if not hasattr(os, "sched_getaffinity"):
        return ()
    allowed = sorted(os.sched_getaffinity(0))
    if count > len(allowed):
        return ()
    busy = psutil.cpu_percent(LOOK_S, percpu=True)
    return tuple(sorted(allowed, key=lambda core: (busy[core] if core < len(busy) else 0.0, core))[:count])
