"""Processes that work on cells: children of a fork server, for one cell each, or kept from cell to cell.

On the CPU a child works on one cell: it starts in milliseconds, and what f did to its process ends with it. On an
accelerator the start of the device takes a child seconds: there one is kept for the next cell, until something dies.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psutil

from jacstrat.harness.dispatch.server import Server, ServerError
from jacstrat.harness.dispatch.servers import SERVERS
from jacstrat.harness.plan.cases import Cell
from jacstrat.problems import PROBLEMS

# For a child that is kept to take an order, which waits in its socket.
TAKE_S = 10.0


def on_accelerator(cell: Cell) -> bool:
    """Whether a child of the cell starts a device, so that it is worth keeping."""
    return cell.device != "cpu"


class Child:
    """One child of the fork server, which does one task after the other where it is kept, else one.

    Each task comes with a channel, a shared memory, a file of errors and a key of its own: what f has left in those of
    an earlier one is in nobody's way.

    Args:
        whose: The function that it is for; empty for those of jacstrat.
        reused: Whether it waits for another task at the end of one.

    Fields:
        tasks: How many it was given.
        is_free: Whether its last task has come to its end; for who works with it to say.
    """

    def __init__(self, whose: str = "", reused: bool = False) -> None:
        self.whose = whose
        self.tasks = 0
        self.is_free = False
        self._is_reused = reused
        self._orders: socket.socket | None = None
        self._server: Server | None = None
        self._pid = 0
        self._status: int | None = None

    @property
    def pid(self) -> int:
        return self._pid

    def begin(self, order: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        """Give it a task, see `child.main`; one that was kept and is dead has it, too, and does nothing.

        Raises:
            JacstratError: No child can be started.
        """
        self.tasks, self.is_free = self.tasks + 1, False
        if self.tasks == 1:
            self._start(order, descriptors)
        elif self._orders is not None:
            line = json.dumps(order).encode() + b"\n"
            with suppress(OSError):
                sent = socket.send_fds(self._orders, [line], list(descriptors))
                self._orders.sendall(line[sent:])

    def _start(self, order: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        if not self._is_reused:
            self._server, self._pid = SERVERS.fork(order, descriptors)
            return
        ours, theirs = socket.socketpair()
        ours.settimeout(TAKE_S)
        self._orders = ours
        with theirs:
            self._server, self._pid = SERVERS.fork(order, [*descriptors, theirs.fileno()])

    def is_dead(self, grace_s: float = 0.0) -> bool:
        """Whether it has ended, within the grace."""
        looks = max(1, round(grace_s / 0.005))
        for look in range(looks):
            try:
                if psutil.Process(self._pid).status() == psutil.STATUS_ZOMBIE:
                    return True
            except psutil.Error:
                return True
            if look + 1 < looks:
                time.sleep(0.005)
        return False

    def end(self, grace_s: float = 0.0) -> int | None:
        """End it and what it has started, once; how it had ended, 0 where it had not, None where the server is gone."""
        if self._server is None or self._status is not None:
            return self._status
        try:
            self._status = self._server.end(self._pid, grace_s)
            return self._status
        except ServerError:
            self._status = 0
            # The kernel ends it with its server, unless f has asked it not to.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)
            SERVERS.replace(self._server)
            return None

    def close(self) -> None:
        """End it, with what it has started."""
        self.end()
        if self._orders is not None:
            self._orders.close()


class Children:
    """Children that are kept from cell to cell, one a device and purpose at most.

    One is for the problems of jacstrat, or for one function of the user's, which may do things to its process.

    Args:
        keeps: Whether the child of a cell is kept.
        is_own: Whether a problem, by its name, is one that may share a child with others.
    """

    def __init__(
        self, keeps: Callable[[Cell], bool] = on_accelerator, is_own: Callable[[str], bool] | None = None
    ) -> None:
        self._keeps = keeps
        self._is_own = is_own or _is_own
        self._kept: dict[tuple[str, str], Child] = {}

    @contextmanager
    def one_for(self, cell: Cell, purpose: str = "") -> Iterator[Child]:
        """A child for the cell: the one that is kept for it, or a fresh one. It is kept where it is free at the end of
        the block, and else ended, with what it has started.

        Args:
            cell: What is worked on.
            purpose: What for; a child has one in its life.
        """
        keeps, whose = self._keeps(cell), "" if self._is_own(cell.problem) else cell.problem
        child = self._kept.pop((cell.device, purpose), None)
        if child is not None and (child.whose != whose or not keeps or child.is_dead()):
            child.close()
            child = None
        child = child or Child(whose, keeps)
        try:
            yield child
        finally:
            if keeps and child.is_free:
                self._kept[cell.device, purpose] = child
            else:
                child.close()

    def close(self) -> None:
        """End those that are kept."""
        while self._kept:
            self._kept.popitem()[1].close()


def _is_own(problem: str) -> bool:
    """Whether a problem is one of jacstrat's, by its name or by the module that has it."""
    return problem in PROBLEMS or problem.partition(":")[0].startswith("jacstrat.")
