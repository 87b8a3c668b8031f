"""The driver's end of the processes: a parent per interpreter, and pairs of its children, one for each revision."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from jacstrat.core.errors import JacstratError
from jacstrat.revisions.tree import Tree

PARENT = Path(__file__).with_name("parent.py")
# The parent imports torch: seconds, on a loaded machine with a cold disk much longer.
START_S = 300.0
END_S = 2.0


class DiedError(JacstratError):
    """A side ended, or did not answer in time; `status` as in a record, the message is the reason."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class RefusedError(JacstratError):
    """A side cannot do what it was asked; `status` as in a record, the message is the reason."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Installed:
    """A revision that can be run.

    Fields:
        tree: Its files.
        python: The interpreter of its environment.
        cache: Where its `auto` keeps its choices: a directory of its own, so that neither side finds the other's.
    """

    tree: Tree
    python: Path
    cache: Path


class Parent:
    """A process with torch loaded and neither revision, see `parent.py`; gone, with its children, after the block."""

    def __init__(self, python: Path) -> None:
        ours, theirs = socket.socketpair()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        with theirs:
            # A session of its own: Ctrl-C ends the driver, which then ends it.
            self._process = subprocess.Popen(
                [python, "-P", PARENT, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                start_new_session=True,
            )
        self._control = ours
        self._ready = False

    def __enter__(self) -> Parent:
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        try:
            # It ends its children when the socket closes.
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            # It is still importing: there are no children.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()

    def fork(self, side: Installed, cores: Sequence[int]) -> Child:
        """A child that has imported the revision's jacstrat.

        Raises:
            DiedError, RefusedError: It could not.
        """
        ours, theirs = socket.socketpair()
        errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the child)
        with theirs:
            pid = self._order({"do": "fork", "cores": list(cores)}, (theirs.fileno(), errors.fileno()))["pid"]
        return Child(self, pid, ours, errors)

    def end(self, pid: int, grace_s: float = 0.0) -> int:
        """Kill a child that has not ended within the grace; how it had ended before, 0 where it had not."""
        return int(self._order({"do": "end", "pid": pid, "grace_s": grace_s})["status"])

    def _order(self, order: Mapping[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        try:
            if not self._ready:
                _line(self._control, START_S)
                self._ready = True
            socket.send_fds(self._control, [json.dumps(order).encode()], list(descriptors))
            return _line(self._control, START_S)
        except (OSError, EOFError):
            raise DiedError(
                "crashed", f"the process that was to import torch has ended: {last_line(self._log)}"
            ) from None


class Child:
    """One side at work. Killed, with all that it started, at the end of the block."""

    def __init__(self, parent: Parent, pid: int, channel: socket.socket, errors: IO[bytes]) -> None:
        self._parent, self._pid, self._channel, self._errors = parent, pid, channel, errors

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._channel.close()
        # After Ctrl-C the parent may be in the middle of an answer: it ends its children when it ends.
        if kind is None or issubclass(kind, Exception):
            with suppress(DiedError):
                self._parent.end(self._pid)
        self._errors.close()

    def ask(self, do: str, limit_s: float, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            DiedError: It ended, or gave no answer for so long.
            RefusedError: It says that it cannot.
        """
        self.post(do, **arguments)
        return self.answer(limit_s)

    def post(self, do: str, **arguments: Any) -> None:
        """Send a request; both sides can be at work at the same time."""
        # A side that is dead is found out by its missing answer.
        with suppress(OSError):
            self._channel.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")

    def answer(self, limit_s: float) -> dict[str, Any]:
        """Wait for the answer to the last request; raises as `ask`."""
        try:
            found = _line(self._channel, limit_s)
        except TimeoutError:
            raise DiedError("timeout", f"no end after {limit_s:g} s") from None
        except (OSError, EOFError):
            raise DiedError("crashed", self._post_mortem()) from None
        if "failed" in found:
            raise RefusedError(found["status"], found["failed"])
        return found

    def _post_mortem(self) -> str:
        code = self._parent.end(self._pid, END_S)
        name = signal.Signals(-code).name if -code in set(signal.Signals) else ""
        said = last_line(self._errors)
        how = f"killed by {name}" if name else f"exited with code {code}"
        return f"{how}{f'; last words: {said}' if said else ''}"


@dataclass
class Arena:
    """Both revisions, and the parents that fork them: one where they share an interpreter.

    Fields:
        base, new: The revisions.
        limit_s: Seconds after which a side that does not answer is ended.
    """

    base: Installed
    new: Installed
    limit_s: float = 30.0
    _parents: dict[Path, Parent] = field(default_factory=dict, init=False)
    _stack: ExitStack = field(default_factory=ExitStack, init=False)

    def __enter__(self) -> Arena:
        for python in (self.base.python, self.new.python):
            if python not in self._parents:
                self._parents[python] = self._stack.enter_context(Parent(python))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def share_a_parent(self) -> bool:
        """Whether both sides are children of one process, as a verdict on a few per cent needs."""
        return self.base.python == self.new.python

    @contextmanager
    def pair(self, cores: Sequence[int] = ()) -> Iterator[tuple[Child, Child]]:
        """A child of each revision, ready for questions.

        Raises:
            DiedError, RefusedError: A revision cannot be imported; says which.
        """
        with ExitStack() as stack:
            children = []
            for side in (self.base, self.new):
                child = stack.enter_context(self._parents[side.python].fork(side, cores))
                tree = side.tree
                child.post(
                    "load",
                    paths=[str(path) for path in tree.import_paths],
                    directory=str(tree.directory),
                    within=str(tree.path) if tree.has_jacstrat else "",
                    cache=str(side.cache),
                )
                children.append((child, tree))
            for child, tree in children:
                try:
                    child.answer(max(self.limit_s, START_S))
                except (DiedError, RefusedError) as error:
                    raise type(error)(error.status, f"{tree} cannot be measured: {error}") from None
            yield children[0][0], children[1][0]


def last_line(file: IO[bytes], most: int = 4096) -> str:
    """The last line that is not empty among the last bytes of a file, shortened to fit a reason."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - most))
    lines = file.read().decode("utf-8", "replace").split("\n")
    return next((" ".join(line.split())[:200] for line in reversed(lines) if line.strip()), "")


def _line(channel: socket.socket, limit_s: float) -> dict[str, Any]:
    """A line of JSON from a socket on which one answer is under way at a time."""
    channel.settimeout(limit_s)
    received = bytearray()
    while not received.endswith(b"\n"):
        part = channel.recv(1 << 16)
        if not part:
            raise EOFError
        received += part
    found: dict[str, Any] = json.loads(received)
    return found
