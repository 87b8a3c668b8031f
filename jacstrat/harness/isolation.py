"""Work on a cell in children of a fork server: what hangs, crashes or devours memory is a row, and the rest goes on.

On the CPU a child works on one cell: it starts in milliseconds, and what f did to its process ends with it. On an
accelerator the start of the device takes a child seconds: there one is kept for the next cell, until something dies.
"""

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
from threading import Lock
from types import ModuleType
from typing import Any, BinaryIO, Protocol, TypeVar

import psutil

from jacstrat.core.case import Case, F
from jacstrat.core.status import Status
from jacstrat.harness import child
from jacstrat.harness.cases import Cell
from jacstrat.harness.cell import Outcome, measure
from jacstrat.harness.child import Limits, Task
from jacstrat.measure.sampling import Settings
from jacstrat.problems import PROBLEMS

# How often the parent looks at the clock and at the memory of a child.
LOOK_S = 0.05
# Where a child's work is, imported before the fork.
PRELOAD = ("jacstrat.harness.child", "jacstrat.harness.cell", "jacstrat.harness.predict")


# What is changed of this process while a child starts is changed once: slots start theirs from threads.
_STARTING = Lock()


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
    energy: bool = False,
    children: Children | None = None,
) -> Generator[Outcome, None, None]:
    """Every case of the cell, each as a row: `harness.cell.measure`, `isolated`."""
    work = partial(measure, settings=settings, cache=cache, energy=energy)
    yield from isolated(work, Outcome.of, cell, limits, attend, children)


def isolated(
    work: Callable[..., Generator[M, None, None]],
    died: Callable[[Case, Status, str], M],
    cell: Cell,
    limits: Limits,
    attend: Callable[[str], object] = lambda name: None,
    children: Children | None = None,
) -> Generator[M, None, None]:
    """What the work gives for every case of the cell, in a child that may die.

    When a child dies, the strategy it was at gets the row, and a fresh child goes on with the others. When it dies in
    f itself, before any strategy, all of them get it; but for a child that had another cell before, which may have
    died of that: a fresh one begins anew.

    Args:
        work: work(cell, attend=...) makes the messages, such as `harness.cell.measure`; it is pickled.
        died: The message of a case that ended its child, from the status and the reason.
        cell: What to work on.
        limits: What a case may use.
        attend: Told the strategy under way, about every LOOK_S seconds.
        children: Those that are kept from earlier cells and for later ones; None for one that ends with the cell.
    """
    left = list(cell.strategies)
    children = children or Children(keeps=lambda cell: False)
    while left:
        task = Task(work, replace(cell, strategies=tuple(left)), limits)
        with children.at_work(task) as running:
            for message in running.messages(attend):
                if message.settles:
                    left.remove(message.settles)
                yield message
        if running.death is None:
            return
        status, reason = running.death
        culprit = running.attended
        if culprit == F and running.tasks > 1:
            continue
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


def on_accelerator(cell: Cell) -> bool:
    """Whether a child of the cell starts a device, so that it is worth keeping."""
    return cell.device != "cpu"


class Children:
    """Children that are kept from cell to cell, one a device at most.

    One is for the problems of jacstrat, or for one function of the user's, which may do things to its process.

    Args:
        keeps: Whether the child of a cell is kept.
    """

    def __init__(self, keeps: Callable[[Cell], bool] = on_accelerator) -> None:
        self._keeps = keeps
        self._kept: dict[str, tuple[str, _Child]] = {}

    @contextmanager
    def at_work(self, task: Task) -> Iterator[_Child]:
        """A child at work on the task: the one that is kept for it, or a fresh one. It is kept where it ends its task,
        and killed, with its group, where it does not, or the block is left before."""
        device, whose = task.cell.device, task.cell.problem if task.cell.problem not in PROBLEMS else ""
        served, child = self._kept.pop(device, ("", None))
        if child is not None and (served != whose or not child.is_alive or not self._keeps(task.cell)):
            child.close()
            child = None
        child = child or _Child()
        try:
            child.begin(task)
            yield child
        finally:
            if child.is_idle and self._keeps(task.cell):
                self._kept[device] = (whose, child)
            else:
                child.close()

    def close(self) -> None:
        """End those that are kept."""
        while self._kept:
            self._kept.popitem()[1][1].close()


class _Child:
    """One child, which does one task after the other until it is closed.

    Fields:
        tasks: How many it was given.
        is_idle: Whether it has ended the last one.
        death: How it died, if it did.
    """

    def __init__(self) -> None:
        self.tasks = 0
        self.is_idle = True
        self.death: tuple[Status, str] | None = None
        self._names: tuple[str, ...] = (F,)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(PRELOAD))
        self._state = context.RawArray("q", [0, time.monotonic_ns()])
        descriptor, self._errors_name = tempfile.mkstemp(prefix="jacstrat-")
        self._errors = os.fdopen(descriptor, "rb")
        self._pipe, theirs = context.Pipe()
        with _STARTING, _no_main_module(), _same_modules():
            _start_server()
            self._process = context.Process(target=child.main, args=(theirs, self._state, self._errors_name))
            self._process.start()
        theirs.close()

    def begin(self, task: Task) -> None:
        """Give it a task; `messages` tells what comes of it, also where it is dead already."""
        self._names = (F, *task.cell.strategies)
        self._limits = task.limits
        self._state[0], self._state[1] = 0, time.monotonic_ns()
        self._resident: int | None = None
        # Its last words are to be of this task.
        self._said = self._errors.seek(0, os.SEEK_END)
        self.tasks, self.is_idle = self.tasks + 1, False
        with suppress(OSError):
            self._pipe.send(task)

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def close(self) -> None:
        """Kill it, with its group."""
        self._kill()
        self._pipe.close()
        self._errors.close()
        # A child that had come so far has unlinked it already.
        Path(self._errors_name).unlink(missing_ok=True)

    @property
    def attended(self) -> str:
        """The strategy, or f, whose code ran when the child was last seen."""
        return self._names[self._state[0]]

    def messages(self, attend: Callable[[str], object]) -> Generator[Any, None, None]:
        """What the child sends, until it is done or dead; then `death` says how."""
        while self.death is None:
            attend(self.attended)
            try:
                if self._pipe.poll(LOOK_S):
                    message = self._pipe.recv()
                    if message is None:
                        self.is_idle = True
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
        if idle_s > self._limits.timeout_s:
            return "timeout", f"no end after {self._limits.timeout_s:g} s"
        with suppress(psutil.Error):
            resident = psutil.Process(self._process.pid).memory_info().rss
            if self._resident is None:
                self._resident = resident
            if resident - self._resident > self._limits.memory_bytes:
                return "oom", f"resident memory grew beyond {self._limits.memory_bytes / 2**20:.0f} MiB"
        return None

    def _post_mortem(self) -> tuple[Status, str]:
        code = self._process.exitcode or 0
        last = _last_line(self._errors, self._said)
        said = f"; last words: {last}" if last else ""
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


def _last_line(file: BinaryIO, since: int = 0, most: int = 4096) -> str:
    """The last line that is not empty among the last bytes of a file, from one on, shortened to fit a reason."""
    file.seek(max(since, file.seek(0, os.SEEK_END) - most))
    lines = file.read().decode("utf-8", "replace").split("\n")
    return next((" ".join(line.split())[:200] for line in reversed(lines) if line.strip()), "")
