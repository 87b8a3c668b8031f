"""The loop of a process that forks children on request, and ends each with all that it has started.

It serves one socket: a request is a line of JSON with descriptors beside it, and so is the answer, without them. When
the socket closes, however its other end has ended, it ends its children and itself.

On Linux what a child leaves behind, in whatever session or group, becomes a child of this process (a subreaper), and
so is found. Nothing but the standard library is imported: revisions load this file by its path.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from os import _exit
from typing import Any, NoReturn

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
# A process that is killed is gone at once, unless it waits for a disk, or all wait for a core.
END_S = 20.0
# How often what a child left is looked for anew while it forks, before all of it is killed as it stands.
MOST_LOOKS = 50
MOST_DESCRIPTORS = 8

Order = dict[str, Any]


def serve(control: socket.socket, become: Callable[[Order, Sequence[int]], object]) -> NoReturn:
    """Answer "fork" and "end" until the socket closes; the process ends then, with no tidying of modules.

    Args:
        control: The socket; a child closes it before all else.
        become: become(order, descriptors) is what a child does; the child ends when it returns.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    children: set[int] = set()
    given_up: set[int] = set()
    try:
        while (asked := request(control)) is not None:
            order, descriptors = asked
            if order["do"] == "fork":
                pid = os.fork()
                if pid == 0:
                    _live(control, order, descriptors, become)
                children.add(pid)
                for descriptor in descriptors:
                    os.close(descriptor)
                answer(control, {"pid": pid})
            else:
                ended = order["pid"] in children
                children.discard(order["pid"])
                status = end(order["pid"], order["grace_s"]) if ended else 0
                left = end_orphans(children | given_up)
                given_up |= {pid for pid, _ in left}
                answer(control, {"status": status, "left": left})
    except BaseException:
        # The last words of the process.
        sys.excepthook(*sys.exc_info())
    finally:
        for pid in children:
            end(pid)
        end_orphans(given_up)
        # Taking torch down takes seconds.
        _exit(0)


def answer(control: socket.socket, value: Order) -> None:
    control.sendall(json.dumps(value).encode() + b"\n")


def die_with(parent: int) -> None:
    """Have the kernel end this process with its parent; elsewhere than on Linux it ends at its next word."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # It ended before the call above.
        _exit(1)


def detach() -> None:
    """A session of its own, so that the whole group can be killed, without a terminal."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def redirect(errors: int) -> None:
    """No output into the tables.

    Args:
        errors: Takes what is written to standard error; closed.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for standard, opened in ((0, null), (1, null), (2, errors)):
        os.dup2(opened, standard)
    for opened in {null, errors} - {0, 1, 2}:
        os.close(opened)


def _live(
    control: socket.socket, order: Order, descriptors: Sequence[int], become: Callable[[Order, Sequence[int]], object]
) -> None:
    """Be a child, and nothing else, whatever is raised."""
    code = 1
    try:
        control.close()
        become(order, descriptors)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        with suppress(Exception):
            sys.stderr.flush()
    finally:
        _exit(code)


def request(control: socket.socket) -> tuple[Order, list[int]] | None:
    """The next line and the descriptors beside it; None at the end."""
    received, descriptors = bytearray(), []
    while not received.endswith(b"\n"):
        try:
            part, more, _, _ = socket.recv_fds(control, 1 << 16, MOST_DESCRIPTORS)
        except ConnectionError:
            return None
        if not part:
            return None
        received += part
        descriptors += more
    return json.loads(received), descriptors


def end(pid: int, grace_s: float = 0.0) -> int:
    """Kill a child with its group, and say how it had ended: its exit code, or minus its signal; 0 where it had not.

    A child that is dying closes its channel a while before it is dead: it has a grace.
    """
    deadline = time.monotonic() + grace_s
    done, status = os.waitpid(pid, os.WNOHANG)
    while done == 0 and time.monotonic() < deadline:
        time.sleep(0.005)
        done, status = os.waitpid(pid, os.WNOHANG)
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
    if done == 0:
        os.waitpid(pid, 0)
        return 0
    return os.waitstatus_to_exitcode(status)


def end_orphans(known: Collection[int]) -> list[tuple[int, str]]:
    """End all that descends from this process but by way of the known children; what stays, as number and command.

    All of it is stopped before any of it is killed: what forks faster than it is killed would never be done with.
    """
    if sys.platform != "linux":
        return []
    deadline = time.monotonic() + END_S
    while left := _orphans(known):
        stopped: set[int] = set()
        for _ in range(MOST_LOOKS):
            if not (fresh := left - stopped):
                break
            for pid in fresh:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGSTOP)
            stopped |= fresh
            left = _orphans(known)
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in left:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > deadline:
            # Without a command it is on its way out.
            return [(pid, command) for pid in sorted(_orphans(known)) if (command := _command(pid))]
        time.sleep(0.002)
    return []


def _orphans(known: Collection[int]) -> set[int]:
    """Descendants of this process, those that are known and theirs apart."""
    own_pid = os.getpid()
    try:
        # Cheaper than a look at all processes, after each child; nothing is reaped.
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError, IndexError), open(f"/proc/{name}/stat", "rb") as stat:
                # The name in parentheses before may hold anything.
                parents[int(name)] = int(stat.read().rpartition(b")")[2].split()[1])
    orphans: set[int] = set()
    fresh = {pid for pid, parent in parents.items() if parent == own_pid and pid not in known}
    while fresh:
        orphans |= fresh
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - orphans
    return orphans


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as command:
            return " ".join(command.read(200).decode("utf-8", "replace").split("\0")).strip()
    except OSError:
        return ""
