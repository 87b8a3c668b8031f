"""Fields x -> sin(x) that take no end, change clocks, or go for the fork server first.

The docstring of each begins with the statuses that its rows may have. See `hostile.py`.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import mmap
import os
import resource
import signal
import struct
import threading
import time

import torch

_CALLS: list[int] = []


def _nth() -> int:
    """How often it was called in this process."""
    _CALLS.append(1)
    return len(_CALLS)


def patched_clock(x):
    """timeout: The clock that the child looks at replaced, then a loop."""
    time.monotonic_ns = lambda: 2**62
    time.monotonic = lambda: 1e18
    if _nth() > 6:
        while True:
            pass
    return torch.sin(x)


def stopped_clock(x):
    """ok or timeout: All clocks stand still."""
    for name in ("monotonic", "perf_counter", "time", "process_time"):
        setattr(time, name, lambda: 1.0)
        setattr(time, f"{name}_ns", lambda: 10**9)
    return torch.sin(x)


def backward_clock(x):
    """ok or error or timeout: All clocks run back."""
    now = [1e9]

    def back():
        now[0] -= 1.0
        return now[0]

    for name in ("monotonic", "perf_counter", "time"):
        setattr(time, name, back)
        setattr(time, f"{name}_ns", lambda: int(back() * 1e9))
    return torch.sin(x)


def raises_from_the_clock(x):
    """ok or error or crashed: A clock that raises."""

    def broken():
        raise OSError("no clock")

    time.perf_counter = time.monotonic = time.perf_counter_ns = broken
    return torch.sin(x)


def sleeps(x):
    """timeout: No end."""
    time.sleep(1e6)


def sleeps_in_c(x):
    """timeout: No end, with no way for Python to interrupt it."""
    ctypes.PyDLL(None).sleep(100000)


def spins(x):
    """timeout: A loop."""
    while True:
        pass


def stops_itself(x):
    """timeout: Stopped by a signal."""
    os.kill(os.getpid(), signal.SIGSTOP)
    return torch.sin(x)


def waits_for_a_lock(x):
    """timeout: A lock that it holds itself."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def waits_for_input(x):
    """error: Input that nobody gives."""
    return input() and torch.sin(x)


def later_and_later(x):
    """timeout: Each call takes twice as long."""
    time.sleep(0.05 * 1.5 ** _nth())
    return torch.sin(x)


def _live_for_ever() -> None:
    """Signs of life by a thread, in the memory that the harness shares."""
    for one in gc.get_objects():
        if type(one) is mmap.mmap and len(one) == 16:

            def beat(one=one):
                count = 10**6
                while True:
                    count += 1
                    one[:16] = struct.pack("qq", 0, count)
                    time.sleep(0.01)

            threading.Thread(target=beat, daemon=True).start()


def says_that_it_lives(x):
    """ok or error: False signs of life."""
    if _nth() == 1:
        _live_for_ever()
    return torch.sin(x)


def says_that_it_lives_and_sleeps(x):
    """timeout: The same without an end, which takes MOST_STEPS times the limit."""
    _live_for_ever()
    time.sleep(1e6)


def points_at_no_strategy(x):
    """crashed: The number of a strategy that is none, then the end."""
    for one in gc.get_objects():
        if type(one) is mmap.mmap and len(one) == 16:
            one[:16] = struct.pack("qq", 2**60, -1)
    os._exit(9)


def alarm(x):
    """crashed: An alarm that ends it."""
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    time.sleep(1)
    return torch.sin(x)


def limit_of_time(x):
    """crashed: The system's own limit of time."""
    resource.setrlimit(resource.RLIMIT_CPU, (0, 1))
    while True:
        pass


def kills_the_server(x):
    """crashed: The process that it was forked from, killed."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(5)
    return torch.sin(x)


def terminates_the_server(x):
    """crashed: The same, asked to end."""
    os.kill(os.getppid(), signal.SIGTERM)
    time.sleep(5)
    return torch.sin(x)


def interrupts_the_server(x):
    """ok or crashed: The same, interrupted."""
    os.kill(os.getppid(), signal.SIGINT)
    return torch.sin(x)


def stops_the_server(x):
    """ok: The same, stopped."""
    os.kill(os.getppid(), signal.SIGSTOP)
    return torch.sin(x)


def traces_the_server(x):
    """ok: The same, traced."""
    ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)
    return torch.sin(x)


def outlives_the_server(x):
    """crashed or timeout: The server killed, and its own end with it called off."""
    ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(1e6)


def slows_the_server(x):
    """ok: The server's priority lowered."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)
    return torch.sin(x)


def signals_its_group(x):
    """crashed: Its own group killed."""
    os.killpg(0, signal.SIGKILL)
