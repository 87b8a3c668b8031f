"""What runs in an isolated child: work on a cell, its outcomes sent to the parent as they come, and on the next.

The fork server imports this module and those of the work before it forks, torch with them, so that a child starts in
milliseconds. Importing must therefore run no torch operation: a thread pool that it started would not survive the fork.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from jacstrat.core.case import F
from jacstrat.harness.cases import Cell

PR_SET_PDEATHSIG = 1
# The process that imports this module before it forks.
_SERVER = os.getpid()
# Thread stacks and the allocator's arenas, which no tensor asked for.
SLACK_BYTES = 2**30


@dataclass(frozen=True)
class Limits:
    """What a case may use: seconds without a sign of life, and bytes above what the child has at its start."""

    timeout_s: float
    memory_bytes: int


class Task(NamedTuple):
    """What a child is to do.

    Fields:
        work: work(cell, attend=...) makes the outcomes; `attend` is to be told the strategy whose code is about to run.
        cell: What to work on.
        limits: What may be used.
    """

    work: Callable[..., Iterable[Any]]
    cell: Cell
    limits: Limits


def main(parent: Connection, attended: Any, errors: str) -> None:
    """Do one task after the other until the parent ends this process, which ends whatever f leaves running.

    Args:
        parent: Tasks come from there; each outcome of one goes there, then None.
        attended: Shared array of two integers: the position of the strategy whose code runs (0 is f), and since when,
            in nanoseconds of the monotonic clock. Shared memory, since a message would wake the parent beside a
            measurement.
        errors: A file that takes what is written to standard error; standard output is thrown away.
    """
    # What was imported before the fork is no garbage: walking it would copy its pages, 0.2 s a child.
    gc.freeze()
    _die_with_server()
    _detach(errors)
    try:
        while (task := _next(parent)) is not None:
            _do(task, parent, attended)
            _tidy(task.cell.device)
    except KeyboardInterrupt:
        # Ctrl-C does not reach this session of its own: f raised it.
        print("KeyboardInterrupt raised by f", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def _next(parent: Connection) -> Task | None:
    """What to do now; None where the parent is gone."""
    with suppress(EOFError, OSError):
        task: Task = parent.recv()
        return task
    return None


def _do(task: Task, parent: Connection, attended: Any) -> None:
    work, cell, limits = task
    if cell.device == "cpu":
        _limit_memory(limits.memory_bytes)
    positions = {name: position for position, name in enumerate((F, *cell.strategies))}

    def attend(name: str) -> None:
        attended[0], attended[1] = positions[name], time.monotonic_ns()

    for outcome in work(cell, attend=attend):
        parent.send(outcome)
    parent.send(None)


def _tidy(device: str) -> None:
    """Leave nothing of a cell to the next one: its tensors, what the allocator keeps for more, what was compiled."""
    import torch

    gc.collect()
    torch.compiler.reset()
    if device != "cpu" and torch.accelerator.is_available():
        torch.accelerator.empty_cache()


def _die_with_server() -> None:
    """Have the kernel kill this process when the fork server ends, which ends with the run.

    The server lives as long as anybody holds its lifeline, and hands that to its children too: a child that hangs
    would keep it, and so itself, alive. Elsewhere than on Linux a child ends when it next sends an outcome.
    """
    server: Any = forkserver._forkserver
    if server._forkserver_alive_fd is not None:
        os.close(server._forkserver_alive_fd)
        server._forkserver_alive_fd = server._forkserver_address = server._forkserver_pid = None
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getpid() != _SERVER != os.getppid():
        # It ended between the fork and the call above.
        os._exit(1)


def _detach(errors: str) -> None:
    """A session of its own, so that the whole group can be killed; no terminal, no output into the tables."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for descriptor, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, os.devnull, os.O_WRONLY),
        (2, errors, os.O_WRONLY),
    ):
        opened = os.open(path, flags)
        os.dup2(opened, descriptor)
        os.close(opened)
    # The parent reads it through the descriptor that it holds; by name nobody needs it any more.
    os.unlink(errors)


def _limit_memory(memory_bytes: int) -> None:
    """Let an allocation beyond the limit fail at once, where the system can: that is a row, not a dead machine."""
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/status") as status:
        data_kib = next(int(line.split()[1]) for line in status if line.startswith("VmData"))
    limit = data_kib * 1024 + memory_bytes + SLACK_BYTES
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
