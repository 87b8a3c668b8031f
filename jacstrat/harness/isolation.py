"""Work on a cell in children of a fork server: what hangs, crashes or devours memory is a row, and the rest goes on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, Protocol, TypeVar

import psutil

from jacstrat.core.case import Case, F
from jacstrat.core.status import Status
from jacstrat.harness import child
from jacstrat.harness.cases import Cell
from jacstrat.harness.cell import Outcome, measure
from jacstrat.harness.child import Limits
from jacstrat.measure.sampling import Settings

# How often the parent looks at the clock and at the memory of a child.
LOOK_S = 0.05
# Where a child's work is, imported before the fork.
PRELOAD = ("jacstrat.harness.child", "jacstrat.harness.cell", "jacstrat.harness.predict")


class Message(Protocol):
    """What a child sends of a cell."""

    @property
    def settles(self) -> str | None:
        """The strategy whose case this ends, if it ends one."""


M = TypeVar("M", bound=Message)


def measure_isolated(
    cell: Cell,
    settings: Settings | None,
    limits: Limits,
    attend: Callable[[str], object] = lambda name: None,
    cache: Path | None = None,
    traces: Path | None = None,
) -> Generator[Outcome, None, None]:
    """Every case of the cell, each as a row: `harness.cell.measure`, `isolated`."""
    work = partial(measure, settings=settings, cache=cache, traces=traces)
    yield from isolated(work, Outcome.of, cell, limits, attend)


def isolated(
    work: Callable[..., Generator[M, None, None]],
    died: Callable[[Case, Status, str], M],
    cell: Cell,
    limits: Limits,
    attend: Callable[[str], object] = lambda name: None,
) -> Generator[M, None, None]:
    """What the work gives for every case of the cell, in a child that may die.

    When a child dies, the strategy it was at gets the row, and a fresh child goes on with the others. When it dies in
    f itself, before any strategy, all of them get it.

    Args:
        work: work(cell, attend=...) makes the messages, such as `harness.cell.measure`; it is pickled.
        died: The message of a case that ended its child, from the status and the reason.
        cell: What to work on.
        limits: What a case may use.
        attend: Told the strategy under way, about every LOOK_S seconds.
    """
    left = list(cell.strategies)
    while left:
        with _Child(work, replace(cell, strategies=tuple(left)), limits) as running:
            for message in running.messages(attend):
                if message.settles:
                    left.remove(message.settles)
                yield message
        if running.death is None:
            return
        status, reason = running.death
        culprit = running.attended
        reached = left if culprit == F else [culprit]
        for case in [case for case in cell.cases if case.strategy in reached]:
            yield died(case, status, f"f itself: {reason}" if culprit == F else reason)
            left.remove(case.strategy)


def _start_server() -> None:
    """Start the fork server, where there is none yet, deaf to Ctrl-C.

    A terminal sends that to every process of the group. The server would end in the middle of an import, with a
    traceback; it ends with this process anyway. Children are deaf to it as well, and are killed.
    """
    resource_tracker.ensure_running()  # which unblocks the signal where it is started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Child:
    """One child at work on one cell; killed, with its group, at the end of the with block."""

    def __init__(self, work: Callable[..., Generator[Any, None, None]], cell: Cell, limits: Limits) -> None:
        self.names = (F, *cell.strategies)
        self.limits = limits
        self.death: tuple[Status, str] | None = None
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(PRELOAD))
        self._state = context.RawArray("q", [0, time.monotonic_ns()])
        descriptor, self._errors_name = tempfile.mkstemp(prefix="jacstrat-")
        self._errors = os.fdopen(descriptor, "rb")
        self._receiver, sender = context.Pipe(duplex=False)
        with _no_main_module(), _same_modules():
            _start_server()
            arguments = (sender, self._state, self._errors_name, work, cell, limits)
            self._process = context.Process(target=child.main, args=arguments)
            self._process.start()
        sender.close()
        self._resident: int | None = None

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()
        self._receiver.close()
        self._errors.close()
        # A child that had come so far has unlinked it already.
        Path(self._errors_name).unlink(missing_ok=True)

    @property
    def attended(self) -> str:
        """The strategy, or f, whose code ran when the child was last seen."""
        return self.names[self._state[0]]

    def messages(self, attend: Callable[[str], object]) -> Generator[Any, None, None]:
        """What the child sends, until it is done or dead; then `death` says how."""
        while self.death is None:
            attend(self.attended)
            try:
                if self._receiver.poll(LOOK_S):
                    message = self._receiver.recv()
                    if message is None:
                        return
                    yield message
                    continue
            except (EOFError, OSError):
                # Dead, as a rule; or f closed the pipe and goes on, until its time is up.
                self._process.join(LOOK_S)
                if self._process.exitcode is not None:
                    self.death = self._post_mortem()
                    return
            self.death = self._over_limit()

    def _over_limit(self) -> tuple[Status, str] | None:
        idle_s = (time.monotonic_ns() - self._state[1]) / 1e9
        if idle_s > self.limits.timeout_s:
            return "timeout", f"no end after {self.limits.timeout_s:g} s"
        with suppress(psutil.Error):
            resident = psutil.Process(self._process.pid).memory_info().rss
            if self._resident is None:
                self._resident = resident
            if resident - self._resident > self.limits.memory_bytes:
                return "oom", f"resident memory grew beyond {self.limits.memory_bytes / 2**20:.0f} MiB"
        return None

    def _post_mortem(self) -> tuple[Status, str]:
        code = self._process.exitcode or 0
        last = _last_line(self._errors)
        said = f"; last words: {last}" if last else ""
        if code == child.CONTEXT_LOST:
            return "crashed", f"it ended the device's context: {last or 'no reason given'}"
        if code >= 0:
            return (
                ("error", last)
                if last.startswith("KeyboardInterrupt")
                else ("crashed", f"exited with code {code}{said}")
            )
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = "; did the system run out of memory?" if name == "SIGKILL" else ""
        return "crashed", f"killed by {name}{hint}{said}"

    def _kill(self) -> None:
        if self._process.pid is not None:
            # The child leads a group of its own; what it started goes with it.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Keep multiprocessing from running the caller's script again in each child: nothing there is needed."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _same_modules() -> Iterator[None]:
    """Have the fork server, started within, import what this process would, and nothing from the working directory."""
    ours = {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _last_line(file: BinaryIO, most: int = 4096) -> str:
    """The last line that is not empty among the last bytes of a file, shortened to fit a reason."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - most))
    lines = file.read().decode("utf-8", "replace").split("\n")
    return next((" ".join(line.split())[:200] for line in reversed(lines) if line.strip()), "")
