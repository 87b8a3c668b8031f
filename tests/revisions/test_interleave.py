"""The loop over pairs of processes, with sides and a clock that are not real."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from jacstrat.revisions.interleave import (
    MOST_PAIRS,
    NO_CASE,
    TIME_LIMIT,
    VERDICTS,
    Blocks,
    RoundLimits,
    SharedCase,
    interleave,
)
from jacstrat.revisions.processes import DiedError, RefusedError

LIMITS = RoundLimits(block_s=0.01, least_rounds=6, most_rounds=9)


@dataclass
class Machine:
    """Processes whose calls take a known time.

    Fields:
        call_s: By side and case.
        fails: By side and case: what its next block raises, once.
        now: Seconds; every block moves it.
        asked: (pair, side, do, calls).
    """

    call_s: Mapping[tuple[str, str], float]
    fails: dict[tuple[str, str], Exception] = field(default_factory=dict)
    now: float = 0.0
    pairs: int = 0
    asked: list[tuple[int, str, str, int]] = field(default_factory=list)
    pinned: list[tuple[int, ...]] = field(default_factory=list)

    @contextmanager
    def pair(self, cores: Sequence[int] = ()):
        self.pairs += 1
        self.pinned.append(tuple(cores))
        yield Side(self, "base"), Side(self, "new")


class Side:
    """One of a pair."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine, self.name, self.case = machine, name, ""

    def ask(self, do: str, limit_s: float, **arguments):
        machine = self.machine
        machine.asked.append((machine.pairs, self.name, do, arguments.get("calls", 0)))
        if do == "open":
            self.case = arguments["cell"]["problem"]
        if do != "block":
            return {}
        if error := machine.fails.pop((self.name, self.case), None):
            raise error
        seconds = machine.call_s[self.name, self.case] * arguments["calls"]
        machine.now += seconds
        return {"seconds": seconds}


def shared_cases(*names: str) -> list[SharedCase]:
    return [SharedCase(name, {"problem": name}, {"problem": name}) for name in names]


def run(
    machine: Machine, names: str, undecided: Callable = lambda blocks: set(), limits: RoundLimits = LIMITS, **options
):
    return interleave(
        machine, shared_cases(*names), undecided, limits, random.Random(0), now=lambda: machine.now, **options
    )


def same(*names: str) -> dict[tuple[str, str], float]:
    return {(side, name): 1e-4 for side in ("base", "new") for name in names}


def test_each_case_has_the_least_pairs_and_the_same_calls_on_both_sides() -> None:
    machine = Machine({**same("a"), ("base", "b"): 1e-3, ("new", "b"): 4e-3})
    found = run(machine, "ab", cores=lambda: (1,))
    assert (found.pairs, found.stopped, machine.pairs, machine.pinned) == (3, VERDICTS, 3, [(1,)] * 3)
    assert {name: [each.pair for each in blocks] for name, blocks in found.blocks.items()} == {
        "a": [0, 1, 2],
        "b": [0, 1, 2],
    }
    for blocks in found.blocks.values():
        (calls,) = {each.calls for each in blocks}
        for each in blocks:
            assert len(each.base) == len(each.new) == LIMITS.least_rounds
            assert min(*each.base, *each.new) * calls >= LIMITS.block_s
    assert found.blocks["b"][0].base == pytest.approx([1e-3] * 6)
    assert found.blocks["b"][0].new == pytest.approx([4e-3] * 6)


def test_sides_take_turns_in_random_order() -> None:
    machine = Machine(same("a"))
    run(machine, "a")
    first = [side for pair, side, do, _ in machine.asked if pair == 3 and do == "block"][::2]
    second = [side for pair, side, do, _ in machine.asked if pair == 3 and do == "block"][1::2]
    assert all({one, other} == {"base", "new"} for one, other in zip(first, second, strict=True))
    orders = {side for pair, side, do, _ in machine.asked if do == "block"}
    assert orders == {"base", "new"}
    assert set(first) == {"base", "new"}


def test_long_work_is_called_once_and_in_few_rounds() -> None:
    machine = Machine({("base", "a"): 3.0, ("new", "a"): 3.0})
    found = run(machine, "a")
    assert [(each.calls, len(each.base)) for each in found.blocks["a"]] == [(1, 3)] * 3


def test_a_side_that_takes_ages_is_not_called_as_often_as_the_other_would_need() -> None:
    machine = Machine({("base", "a"): 1e-6, ("new", "a"): 1.0})
    assert {each.calls for each in run(machine, "a").blocks["a"]} == {1}


def test_rounds_go_on_where_the_ratio_is_not_known() -> None:
    class Noisy(dict):
        def __getitem__(self, key):
            return random.Random(next(steps)).uniform(1, 1.5) * 1e-4

    steps = iter(range(10**6))
    found = run(Machine(Noisy()), "a")
    assert [len(each.base) for each in found.blocks["a"]] == [LIMITS.most_rounds] * 3


def test_only_what_is_undecided_goes_on_until_it_is_decided() -> None:
    def undecided(blocks: Mapping[str, Sequence[Blocks]]) -> set[str]:
        return {"b"} if len(blocks["b"]) < 5 else set()

    found = run(Machine(same("a", "b")), "ab", undecided)
    assert ({name: len(blocks) for name, blocks in found.blocks.items()}, found.stopped) == ({"a": 3, "b": 5}, VERDICTS)


def test_a_case_may_become_undecided_again() -> None:
    def undecided(blocks: Mapping[str, Sequence[Blocks]]) -> set[str]:
        return {"b"} if len(blocks["b"]) < 4 else {"a"} if len(blocks["a"]) < 4 else set()

    found = run(Machine(same("a", "b")), "ab", undecided)
    assert {name: len(blocks) for name, blocks in found.blocks.items()} == {"a": 4, "b": 4}


def test_it_ends_with_the_most_pairs() -> None:
    found = run(Machine(same("a")), "a", set, RoundLimits(most_pairs=4))
    assert (found.pairs, found.stopped) == (4, MOST_PAIRS)


def test_it_ends_with_its_time_and_keeps_what_it_has() -> None:
    machine = Machine(same(*"abcdefgh"))
    found = run(machine, "abcdefgh", set, RoundLimits(time_s=0.6))
    assert found.stopped == TIME_LIMIT
    assert 0 < len(found.blocks) < 8
    assert found.spent_s < 1.2


def test_there_may_be_no_case() -> None:
    machine = Machine({})
    found = run(machine, "")
    assert (found.stopped, found.pairs, machine.pairs) == (NO_CASE, 0, 0)


def test_a_side_that_refuses_ends_its_case_alone() -> None:
    machine = Machine(same("a", "b"), {("new", "a"): RefusedError("error", "ValueError: mine")})
    found = run(machine, "ab")
    assert list(found.blocks) == ["b"]
    assert len(found.blocks["b"]) == 3
    failure = found.failures["a"]
    assert (failure.side, failure.status, str(failure), failure.dead) == ("new", "error", "ValueError: mine", False)


def test_a_side_that_dies_takes_its_pair_along_and_the_rest_goes_on_in_another() -> None:
    machine = Machine(same(*"abcd"), {("base", "c"): DiedError("crashed", "killed by SIGSEGV")})
    found = run(machine, "abcd")
    assert set(found.failures) == {"c"}
    assert found.failures["c"].dead
    assert {name: len(blocks) for name, blocks in found.blocks.items()} == {"a": 3, "b": 3, "d": 3}
    assert machine.pairs >= 4


def test_if_every_case_dies_it_ends() -> None:
    names = "abcdefgh"
    fails = {("new", name): DiedError("timeout", "no end") for name in names}
    found = run(Machine(same(*names), dict(fails)), names)
    assert (set(found.failures), found.blocks) == (set(names), {})
