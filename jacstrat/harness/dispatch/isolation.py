"""Work on a cell in children of a fork server: what hangs, crashes or devours memory is a row, and the rest goes on.

Nothing that a child says is trusted: its messages are frames with a tag (`core.frames`), parsed as data and checked
against the cell; the time is taken from the parent's clock; a server that f has ended or stopped is replaced.
"""

from __future__ import annotations

import base64
import mmap
import os
import pickle
import select
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import psutil

from jacstrat.core.case import Case, F
from jacstrat.core.errors import JacstratError
from jacstrat.core.frames import FrameError, Receiver, new_key
from jacstrat.core.status import Status
from jacstrat.harness.cell.measuring import measure
from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.cell.profiling import Profile, is_apart, profiles
from jacstrat.harness.dispatch.caller import caller_state
from jacstrat.harness.dispatch.child import ATTENDED, CONTEXT_LOST, ChildLimits
from jacstrat.harness.dispatch.children import Child, Children
from jacstrat.harness.dispatch.server import last_line, scratch_file
from jacstrat.harness.plan.cases import Cell
from jacstrat.measure.sampling import Settings

# How often the parent looks at the clock and at the memory of a child.
LOOK_S = 0.05
# More than this between two looks is no time that the child had: the machine slept, or its clock was set.
MOST_STEP_S = 1.0
# A strategy gets this many times its limit in all, whatever signs of life there are: more than any has steps that take
# so long (a stochastic one is drawn 40 times).
MOST_STEPS = 64
# What f writes to standard error is thrown away but for its end, before it fills the disk.
MOST_ERROR_BYTES = 2**20
# The purpose of children in which a profiler is started.
PROFILES = "profiles"
# For a child that dies to be dead.
DYING_S = 2.0


class Message(Protocol):
    """What a child sends of a cell."""

    def to_data(self) -> dict[str, Any]:
        """The message as plain JSON."""

    @property
    def settles(self) -> str | None:
        """The strategy whose case this ends, if it ends one."""


M = TypeVar("M", bound=Message)


def measure_isolated(
    cell: Cell,
    settings: Settings | None,
    limits: ChildLimits,
    attend: Callable[[str], object] = lambda name: None,
    cache: Path | None = None,
    traces: Path | None = None,
    energy: bool = False,
    children: Children | None = None,
    profiled: bool = True,
) -> Generator[Outcome, None, None]:
    """Every case of the cell, each as a row: `harness.cell.measuring.measure`, `isolated`.

    On a device that a profiler sees what was timed is profiled in another child, which times nothing: those rows come
    behind that. With `profiled` false nothing is.
    """
    apart = profiled and settings is not None and is_apart(cell, traces)
    here = profiled and not apart
    work = partial(measure, settings=settings, cache=cache, traces=traces, energy=energy, profiled=here)
    outcomes = isolated(work, Outcome.parse, Outcome.of, cell, limits, attend, children)
    if not apart:
        yield from outcomes
        return
    timed: dict[str, Outcome] = {}
    for outcome in outcomes:
        if outcome.settles and outcome.samples is not None:
            timed[outcome.settles] = outcome
        else:
            yield outcome
    if timed:
        look = partial(profiles, cache=cache, traces=traces)
        part = replace(cell, strategies=tuple(timed))
        try:
            for profile in isolated(look, Profile.parse, Profile.died, part, limits, attend, children, PROFILES):
                yield profile.into(timed.pop(profile.settles))
        except (KeyboardInterrupt, JacstratError):
            # What was timed stands.
            yield from timed.values()
            raise


def isolated(
    work: Callable[..., Generator[M, None, None]],
    parse: Callable[[Cell, Any], M],
    died: Callable[[Case, Status, str], M],
    cell: Cell,
    limits: ChildLimits,
    attend: Callable[[str], object] = lambda name: None,
    children: Children | None = None,
    purpose: str = "",
) -> Generator[M, None, None]:
    """What the work gives for every case of the cell, in a child that may die.

    When a child dies, or says what is no message, the strategy it was at gets the row, and a fresh child goes on with
    the others. When it dies in f itself, before any strategy, all of them get it; but for a child that had another cell
    before, which may have died of that: a fresh one begins anew.

    Args:
        work: work(cell, attend=...) makes the messages, such as `harness.cell.measuring.measure`; it is pickled.
        parse: The message of the cell that is in what `to_data` gave, read back from JSON; ValueError where none is.
        died: The message of a case that ended its child, from the status and the reason.
        cell: What to work on.
        limits: What a case may use.
        attend: Told the strategy under way, about every LOOK_S seconds.
        children: Those that are kept from earlier cells and for later ones; None for one that ends with the cell.
        purpose: Of the child, as in `Children.one_for`.

    Raises:
        JacstratError: No child can be started.
    """
    left = list(cell.strategies)
    children = children or Children(keeps=lambda cell: False)
    while left:
        part = replace(cell, strategies=tuple(left))
        with children.one_for(cell, purpose) as child, _Task(child, work, part, limits) as running:
            for data in running.messages(attend):
                try:
                    message = parse(cell, data)
                    if message.settles:
                        left.remove(message.settles)
                except (ValueError, TypeError, KeyError, AttributeError) as error:
                    running.give_up(f"it sends what is no message: {type(error).__name__}")
                    break
                yield message
            culprit = running.attended
            if running.death is None and not left:
                child.is_free = True
                return
        if child.tasks > 1 and culprit not in left:
            continue
        death = running.death or ("crashed", "it ended before its time")
        status, reason = death
        # What has its row already is not to blame for what comes after it.
        reached = [culprit] if culprit in left else list(left)
        for case in [case for case in cell.cases if case.strategy in reached]:
            yield died(case, status, f"f itself: {reason}" if culprit == F else reason)
        left = [name for name in left if name not in reached]


class _Task:
    """One child at work on one cell; what comes from the child after the with block is heard by nobody."""

    def __init__(
        self, child: Child, work: Callable[..., Generator[Any, None, None]], cell: Cell, limits: ChildLimits
    ) -> None:
        self._child = child
        self.names = (F, *cell.strategies)
        self.limits = limits
        self.death: tuple[Status, str] | None = None
        self._errors = scratch_file()
        with scratch_file() as state:
            state.truncate(ATTENDED.size)
            self._state = mmap.mmap(state.fileno(), ATTENDED.size)
            self._channel, theirs = os.pipe()
            key = new_key()
            pickled = base64.b64encode(pickle.dumps((work, cell, limits))).decode()
            order = {"work": pickled, "key": key.hex(), "caller": caller_state()}
            try:
                child.begin(order, [theirs, state.fileno(), self._errors.fileno()])
            except BaseException:
                self._close()
                raise
            finally:
                os.close(theirs)
        self._receiver = Receiver(self._channel, key)
        self._resident: int | None = None
        self._seen: tuple[int, int] = (0, 0)
        self._idle_s = 0.0
        self._looked_s = time.monotonic()
        self._spent_s: dict[str, float] = defaultdict(float)

    def __enter__(self) -> _Task:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def attended(self) -> str:
        """The strategy, or f, whose code ran when the child was last seen."""
        position = ATTENDED.unpack(self._state[: ATTENDED.size])[0]
        return self.names[position] if 0 <= position < len(self.names) else F

    def give_up(self, why: str) -> None:
        """What comes from it is not heard any more."""
        self.death = ("crashed", why)

    def messages(self, attend: Callable[[str], object]) -> Generator[Any, None, None]:
        """What the child sends, until it is done or dead; then `death` says how."""
        looks = select.poll()
        looks.register(self._channel, select.POLLIN)
        closed = False
        while self.death is None:
            attend(self.attended)
            if closed:
                # f has closed its end, or dies.
                time.sleep(LOOK_S)
            # What is dead has said all that it will: its last words are read before the end is seen.
            dead = self._child.is_dead()
            if not closed and looks.poll(0 if dead else LOOK_S * 1e3):
                try:
                    for value in self._receiver.receive():
                        if "message" not in value:
                            if value["end"] is not None:
                                self.death = ("error", value["end"])
                            return
                        yield value["message"]
                    continue
                except FrameError as error:
                    self.give_up(f"f writes into the channel of the harness: {error}")
                    return
                except EOFError:
                    closed = True
                    dead = self._child.is_dead(DYING_S)
            if dead:
                self.death = self._post_mortem()
                return
            self.death = self._over_limit()

    def _over_limit(self) -> tuple[Status, str] | None:
        now_s = time.monotonic()
        step_s = min(max(now_s - self._looked_s, 0), MOST_STEP_S)
        self._looked_s = now_s
        seen = ATTENDED.unpack(self._state[: ATTENDED.size])
        self._idle_s = self._idle_s + step_s if seen == self._seen else 0.0
        self._seen = seen
        name, timeout_s = self.attended, self.limits.timeout_s
        self._spent_s[name] += step_s
        if self._idle_s > timeout_s:
            return "timeout", f"no end after {timeout_s:g} s"
        if self._spent_s[name] > MOST_STEPS * timeout_s:
            return "timeout", f"no end after {MOST_STEPS} steps of up to {timeout_s:g} s"
        self._cut_errors()
        with suppress(psutil.Error):
            resident = psutil.Process(self._child.pid).memory_info().rss
            if self._resident is None:
                self._resident = resident
            if resident - self._resident > self.limits.memory_bytes:
                return "oom", f"resident memory grew beyond {self.limits.memory_bytes / 2**20:.0f} MiB"
        return None

    def _cut_errors(self) -> None:
        with suppress(OSError):
            size = os.fstat(self._errors.fileno()).st_size
            if size > MOST_ERROR_BYTES:
                end = os.pread(self._errors.fileno(), 4096, size - 4096)
                os.ftruncate(self._errors.fileno(), 0)
                os.pwrite(self._errors.fileno(), end, 0)

    def _post_mortem(self) -> tuple[Status, str]:
        code = self._child.end(DYING_S)
        if code is None:
            return "crashed", "it ended, and the fork server with it"
        last = last_line(self._errors)
        said = f"; last words: {last}" if last else ""
        if code == CONTEXT_LOST:
            return "crashed", f"it ended the device's context: {last or 'no reason given'}"
        if code >= 0:
            return "crashed", f"exited with code {code}{said}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = "; did the system run out of memory?" if name == "SIGKILL" else ""
        return "crashed", f"killed by {name}{hint}{said}"

    def _close(self) -> None:
        os.close(self._channel)
        self._state.close()
        self._errors.close()
