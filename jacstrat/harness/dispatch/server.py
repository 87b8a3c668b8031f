"""The other end of `core.forks`: a process that forks children on request, started, asked, and replaced.

Nothing is read from it without a limit of time: f runs in its children and may stop, trace or kill it.
"""

from __future__ import annotations

import json
import logging
import os
import select
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

import psutil

from jacstrat.core.errors import JacstratError
from jacstrat.harness.dispatch.strays import MARK, new_mark, process_name, strays

# It imports torch: seconds, on a loaded machine with a cold disk much longer.
START_S = 300.0
# A fork takes milliseconds; on a machine that swaps much longer.
ANSWER_S = 60.0
# Seen stopped or traced for so long, it is not waited for.
STOPPED_S = 1.0
LOOK_S = 0.05
# Not a moment of a debugger's, which comes and goes.
STOPPED = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
# To end by itself, with its children, when its socket closes.
END_S = 2.0

log = logging.getLogger("jacstrat")


class ServerError(JacstratError):
    """The fork server has ended, or does not answer; the message says which."""


class Server:
    """A fork server, with its children gone after `close`.

    Args:
        command: What runs it; the descriptor of its socket is added as the last argument.
    """

    def __init__(self, command: Sequence[str]) -> None:
        ours, theirs = socket.socketpair()
        self._log = scratch_file()
        self.mark = new_mark()
        with theirs:
            # A group of its own, so that Ctrl-C ends the run, which then ends it. Not a session: one that f has stopped
            # is woken and hung up by the kernel when the run ends.
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                env=os.environ | {MARK: self.mark},
                process_group=0,
            )
        ours.setblocking(False)
        self._control = ours
        self._ready = self._asking = False
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        return self._process.pid

    def fork(self, order: Mapping[str, Any], descriptors: Sequence[int]) -> int:
        """The number of a child that does what the order says, with copies of the descriptors.

        Raises:
            ServerError: There is none.
        """
        return int(self._ask({"do": "fork", **order}, descriptors)["pid"])

    def end(self, pid: int, grace_s: float = 0.0) -> int:
        """Kill a child that has not ended within the grace; how it had ended before, 0 where it had not.

        All that it has started is ended; what cannot be is told as a warning.

        Raises:
            ServerError: Nobody tells.
        """
        answer = self._ask({"do": "end", "pid": pid, "grace_s": grace_s})
        for stray, command in answer["left"]:
            log.warning("process %d (%s), which a function has started, does not end; end it by hand", stray, command)
        return int(answer["status"])

    def close(self, force: bool = False) -> None:
        """End it, with its children and what these have started.

        Args:
            force: It does not answer.
        """
        if self._log.closed:
            return
        self._control.close()
        below = []
        if force:
            # Where it is stopped, all that it would end itself is below it still.
            with suppress(psutil.Error):
                below = psutil.Process(self.pid).children(recursive=True)
        try:
            # It ends its children when the socket closes.
            self._process.wait(0 if force else END_S)
        except subprocess.TimeoutExpired:
            # Still importing, and there are no children; or it is stopped, and they go with it.
            self._process.kill()
            self._process.wait()
        self._log.close()
        for process in below:
            with suppress(psutil.Error):
                process.kill()
        if force:
            end_marked(self.mark)

    def _ask(self, order: Mapping[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        try:
            # One question at a time; after one that was left without its answer, as by Ctrl-C, none.
            with self._lock:
                if self._asking:
                    raise TimeoutError("was left in the middle of an answer")
                self._asking = True
                if not self._ready:
                    self._line(START_S)
                    self._ready = True
                self._send(json.dumps(order).encode() + b"\n", descriptors)
                answer = self._line(ANSWER_S)
                self._asking = False
                return answer
        except (OSError, EOFError, ValueError) as error:
            said = "" if self._log.closed else last_line(self._log)
            how = f"{error}" if isinstance(error, TimeoutError) else f"has ended{f': {said}' if said else ''}"
            raise ServerError(f"the process that imports torch {how}") from None

    def _send(self, line: bytes, descriptors: Sequence[int]) -> None:
        sent = socket.send_fds(self._control, [line], list(descriptors))
        while sent < len(line):
            self._wait(select.POLLOUT, ANSWER_S)
            sent += self._control.send(line[sent:])

    def _line(self, limit_s: float) -> dict[str, Any]:
        received = bytearray()
        while not received.endswith(b"\n"):
            self._wait(select.POLLIN, limit_s)
            part = self._control.recv(1 << 16)
            if not part:
                raise EOFError
            received += part
        answer: dict[str, Any] = json.loads(received)
        return answer

    def _wait(self, event: int, limit_s: float) -> None:
        """Wait for the socket, in short looks, by whose number the time is taken: a clock that jumps ends none.

        Raises:
            TimeoutError: In vain; the message says how.
        """
        looks = select.poll()
        looks.register(self._control, event)
        stopped = 0
        for _ in range(round(limit_s / LOOK_S)):
            if looks.poll(LOOK_S * 1e3):
                return
            with suppress(psutil.Error):
                stopped = stopped + 1 if psutil.Process(self.pid).status() in STOPPED else 0
            if stopped * LOOK_S >= STOPPED_S:
                raise TimeoutError("is stopped")
        raise TimeoutError(f"does not answer for {limit_s:g} s")


def end_marked(mark: str, but: int | None = None) -> None:
    """Kill the processes with a mark that are left, one apart, and name what stays."""

    def left() -> list[psutil.Process]:
        return [process for process in strays(mark) if process.pid != but]

    gone_by = time.monotonic() + END_S
    while (marked := left()) and time.monotonic() < gone_by:
        for process in marked:
            with suppress(psutil.Error):
                process.kill()
        time.sleep(LOOK_S)
    for process in marked:
        log.warning("%s, which a function has started, does not end; end it by hand", process_name(process))


def scratch_file() -> IO[bytes]:
    """A file without a name, in memory where the system has that: nothing is left of it, and no disk is full.

    All who have it write at its end, wherever another has read.
    """
    import fcntl

    file: IO[bytes] | None = None
    if hasattr(os, "memfd_create"):
        with suppress(OSError):
            file = os.fdopen(os.memfd_create("jacstrat"), "w+b", buffering=0)
    file = file or tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed by who asked)
    fcntl.fcntl(file.fileno(), fcntl.F_SETFL, fcntl.fcntl(file.fileno(), fcntl.F_GETFL) | os.O_APPEND)
    return file


def last_line(file: IO[bytes], most: int = 4096) -> str:
    """The last line that is not empty among the last bytes of a file, shortened to fit a reason."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - most))
    lines = file.read().decode("utf-8", "replace").split("\n")
    return next((" ".join(line.split())[:200] for line in reversed(lines) if line.strip()), "")
