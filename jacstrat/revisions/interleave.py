"""Blocks of both revisions in turn, over pairs of processes, until each case has its verdict or the time is up."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from jacstrat.core.errors import JacstratError
from jacstrat.revisions.processes import DiedError, RefusedError, SideProcess
from jacstrat.statistics import summarise

VERDICTS, TIME_LIMIT, MOST_PAIRS, NO_CASE = "verdicts", "time limit", "most pairs", "no case"


@dataclass(frozen=True)
class RoundLimits:
    """How long to go on.

    Fields:
        time_s: For all of it; what is under way then is finished.
        least_pairs, most_pairs: Of processes, for a case. No verdict comes from fewer; more change little.
        block_s: Shortest block: below 10 ms the processes of a pair differ by more than what is looked for.
        least_rounds, most_rounds: Blocks of either side in a pair of processes: until the median of their ratio is
            known to `half_width`.
        case_s: Time to spend on the blocks of a case in one pair; fewer rounds then, though never fewer than three.
        step_s: A side that does not answer for so long is ended.
    """

    time_s: float = 600.0
    least_pairs: int = 3
    most_pairs: int = 15
    block_s: float = 0.01
    least_rounds: int = 8
    most_rounds: int = 24
    half_width: float = 0.015
    case_s: float = 2.0
    step_s: float = 30.0


@dataclass(frozen=True)
class SharedCase:
    """A case that both revisions have: its key, and its cell of one strategy as each of them writes it."""

    key: str
    base: Mapping[str, Any]
    new: Mapping[str, Any]


@dataclass(frozen=True)
class Blocks:
    """A case in one pair of processes: seconds of a call by round, both sides with the same number of calls."""

    pair: int
    calls: int
    base: tuple[float, ...]
    new: tuple[float, ...]


class FailedError(JacstratError):
    """A side failed at a case while it was timed; the message is the reason.

    Fields:
        side: "base" or "new".
        status: As in a record.
        dead: The pair of processes is no more.
    """

    def __init__(self, side: str, status: str, reason: str, dead: bool) -> None:
        super().__init__(reason)
        self.side, self.status, self.dead = side, status, dead


@dataclass
class Interleaved:
    """What was measured.

    Fields:
        blocks: By case, a pair of processes each.
        failures: By case, what kept it from being timed.
        pairs: Pairs of processes.
        spent_s: Time in all.
        stopped: VERDICTS, TIME_LIMIT, MOST_PAIRS or NO_CASE.
    """

    blocks: dict[str, list[Blocks]] = field(default_factory=dict)
    failures: dict[str, FailedError] = field(default_factory=dict)
    pairs: int = 0
    spent_s: float = 0.0
    stopped: str = VERDICTS


class Starter(Protocol):
    """What makes pairs, such as `processes.RevisionPair`."""

    def pair(self, cores: Sequence[int] = ()) -> AbstractContextManager[tuple[SideProcess, SideProcess]]:
        """A child of each revision; see `processes.RevisionPair.pair`."""


def interleave(
    revision_pair: Starter,
    cases: Sequence[SharedCase],
    undecided: Callable[[Mapping[str, Sequence[Blocks]]], Collection[str]],
    limits: RoundLimits,
    rng: random.Random,
    cores: Callable[[], Sequence[int]] = tuple,
    attend: Callable[[str, int], object] = lambda key, pair: None,
    now: Callable[[], float] = time.monotonic,
) -> Interleaved:
    """Measure every case in several pairs of processes, and in more where it is undecided.

    Args:
        revision_pair: Starts pairs.
        cases: What both revisions have.
        undecided: Of the blocks of all cases so far, the keys of the cases that more pairs may decide.
        limits: When to stop.
        rng: Shuffles cases and rounds.
        cores: Where the next pair is pinned, both sides alike; none for nowhere.
        attend: Told the case and the number of the pair before it is measured.
        now: Seconds of a clock that only goes forward.
    """
    interleaved, begin = Interleaved(), now()
    calls: dict[str, int] = {}
    by_key = {case.key: case for case in cases}
    left = list(by_key.values())
    if not left:
        interleaved.stopped = NO_CASE

    def measure_in(pair: tuple[SideProcess, SideProcess], todo: Sequence[SharedCase]) -> None:
        """One block of each case by each side, until the time is up or a process is dead."""
        for case in todo:
            if now() - begin >= limits.time_s:
                interleaved.stopped = TIME_LIMIT
                return
            attend(case.key, interleaved.pairs)
            try:
                blocks = _measure(case, *pair, interleaved.pairs, calls.get(case.key), limits, rng)
            except FailedError as error:
                interleaved.failures[case.key] = error
                interleaved.blocks.pop(case.key, None)
                del by_key[case.key]
                if error.dead:  # the cases that this pair has not come to are the first of the next
                    return
            else:
                calls[case.key] = blocks.calls
                interleaved.blocks.setdefault(case.key, []).append(blocks)

    while left:
        if interleaved.pairs >= limits.most_pairs + len(interleaved.failures):
            interleaved.stopped = MOST_PAIRS
            break
        rng.shuffle(left)
        with revision_pair.pair(cores()) as pair:
            measure_in(pair, left)
        interleaved.pairs += 1
        if interleaved.stopped == TIME_LIMIT:
            break
        # All cases are judged together, also those that had their verdict: with more pairs another may lose its own.
        going_on = set(undecided(interleaved.blocks)) if interleaved.blocks else set()
        measured = {key: len(interleaved.blocks.get(key, ())) for key in by_key}
        few = {key for key, pairs in measured.items() if pairs < limits.least_pairs}
        more = {key for key, pairs in measured.items() if key in going_on and pairs < limits.most_pairs}
        left = [case for key, case in by_key.items() if key in few | more]
        if going_on and not left:
            interleaved.stopped = MOST_PAIRS
    interleaved.spent_s = now() - begin
    return interleaved


def _measure(
    case: SharedCase,
    base: SideProcess,
    new: SideProcess,
    pair: int,
    calls: int | None,
    limits: RoundLimits,
    rng: random.Random,
) -> Blocks:
    """A case in one pair of processes."""
    sides = {"base": (base, case.base), "new": (new, case.new)}

    def ask(side: str, do: str, **arguments: Any) -> dict[str, Any]:
        try:
            return sides[side][0].ask(do, limits.step_s, **arguments)
        except (DiedError, RefusedError) as error:
            raise FailedError(side, error.status, str(error), isinstance(error, DiedError)) from None

    def a_round(calls: int) -> dict[str, float]:
        order = ["base", "new"]
        rng.shuffle(order)
        return {side: float(ask(side, "block", calls=calls)["seconds"]) for side in order}

    for side, (_, cell) in sides.items():
        ask(side, "open", cell=cell)
    if calls is None:
        calls = _calibrated(a_round, limits)
    # Not counted: what a process does only at first.
    warm = a_round(calls)
    most = max(3, min(limits.most_rounds, int(limits.case_s / max(sum(warm.values()), 1e-9))))
    rounds: list[Mapping[str, float]] = []
    while len(rounds) < min(limits.least_rounds, most) or (
        len(rounds) < most and summarise([each["new"] / each["base"] for each in rounds]).half_width > limits.half_width
    ):
        rounds.append(a_round(calls))
    for side in sides:
        ask(side, "close")
    base_s, new_s = (tuple(each[side] / calls for each in rounds) for side in ("base", "new"))
    return Blocks(pair, calls, base_s, new_s)


def _calibrated(a_round: Callable[[int], Mapping[str, float]], limits: RoundLimits) -> int:
    """Calls in a block, the same on both sides: the shorter one is long enough, unless the longer one takes ages."""
    calls = 1
    while True:
        times = a_round(calls).values()
        if min(times) >= limits.block_s or max(times) >= limits.case_s / 3:
            return calls
        # A little more than it seems to take: the machine may be faster in the next minute.
        needed = math.ceil(1.2 * calls * limits.block_s / max(min(times), 1e-9))
        calls = max(calls + 1, min(10 * calls, needed))
