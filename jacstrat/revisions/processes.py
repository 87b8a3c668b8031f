"""The driver's end of the processes: a parent per interpreter, and pairs of its children, one for each revision."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from jacstrat.core.errors import JacstratError
from jacstrat.core.frames import FrameError, Receiver, new_key
from jacstrat.harness.dispatch.server import LOOK_S, START_S, Server, ServerError, end_marked, last_line, scratch_file
from jacstrat.revisions.tree import Tree

PARENT = Path(__file__).with_name("parent.py")
END_S = 2.0
# A request is small; the system has room for it.
SEND_S = 10.0


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
        self._server = Server([str(python), "-P", str(PARENT)])

    def __enter__(self) -> Parent:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        end_marked(self._server.mark)

    def fork(self, side: Installed, cores: Sequence[int]) -> SideProcess:
        """A child that has imported the revision's jacstrat.

        Raises:
            DiedError, RefusedError: It could not.
        """
        errors, key = scratch_file(), new_key()
        # A socket, since a request to a dead child must not end this process.
        ours, theirs = socket.socketpair()
        answers, their_answers = os.pipe()
        with theirs:
            try:
                order = {"cores": list(cores), "key": key.hex()}
                pid = self._server.fork(order, (theirs.fileno(), their_answers, errors.fileno()))
            except ServerError as error:
                os.close(answers)
                raise DiedError("crashed", str(error)) from None
            finally:
                os.close(their_answers)
        return SideProcess(self._server, pid, ours, answers, key, errors)


class SideProcess:
    """One side at work. Killed, with all that it started, at the end of the block."""

    def __init__(
        self, server: Server, pid: int, requests: socket.socket, answers: int, key: bytes, errors: IO[bytes]
    ) -> None:
        self._server, self._pid, self._requests, self._errors = server, pid, requests, errors
        self._answers, self._receiver = answers, Receiver(answers, key)
        # A side that does not read is found out by its missing answer.
        requests.settimeout(SEND_S)

    def __enter__(self) -> SideProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._requests.close()
        os.close(self._answers)
        # After Ctrl-C the parent may be in the middle of an answer: it ends its children when it ends.
        if kind is None or issubclass(kind, Exception):
            with suppress(ServerError):
                self._server.end(self._pid)
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
            self._requests.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")

    def answer(self, limit_s: float) -> dict[str, Any]:
        """Wait for the answer to the last request; raises as `ask`."""
        try:
            answer = self._next(limit_s)
        except TimeoutError:
            raise DiedError("timeout", f"no end after {limit_s:g} s") from None
        except FrameError as error:
            raise DiedError("crashed", f"f writes into the channel of the harness: {error}") from None
        except EOFError:
            raise DiedError("crashed", self._post_mortem()) from None
        if not isinstance(answer, dict):
            raise DiedError("crashed", "it sends what is no answer")
        if "failed" in answer:
            raise RefusedError(str(answer.get("status")), str(answer["failed"]))
        return answer

    def _next(self, limit_s: float) -> Any:
        """The next value from the side, waited for in short looks by whose number the time is taken."""
        looks = select.poll()
        looks.register(self._answers, select.POLLIN)
        for _ in range(max(1, round(limit_s / LOOK_S))):
            while looks.poll(LOOK_S * 1e3):
                for value in self._receiver.receive():
                    return value
        raise TimeoutError

    def _post_mortem(self) -> str:
        try:
            code = self._server.end(self._pid, END_S)
        except ServerError as error:
            return f"it ended, and {error}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else ""
        said = last_line(self._errors)
        how = f"killed by {name}" if name else f"exited with code {code}"
        return f"{how}{f'; last words: {said}' if said else ''}"


@dataclass
class RevisionPair:
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

    def __enter__(self) -> RevisionPair:
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
    def pair(self, cores: Sequence[int] = ()) -> Iterator[tuple[SideProcess, SideProcess]]:
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
