"""Random compositions: every strategy is right, or refuses; and what the compositions are made of."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.compositions.children import ALWAYS, judged, strategies_in_turn
from tests.compositions.operations import OPERATIONS
from tests.compositions.programs import program
from tests.compositions.truth import STEPS, by_differences, values
from tests.compositions.verdict import strategies_of

# How many programs are judged; thousands by `python -m tests.compositions.run`.
COUNT = int(os.environ.get("COMPOSITIONS", "40"))
# Of so many programs in a row each strategy beside `auto`, `chain` and `taylor` looks at one.
TURNS = 10


@pytest.mark.long
@pytest.mark.timeout(120 + 10 * COUNT)
def test_every_strategy_is_right_or_refuses() -> None:
    # By itself, since the server that its children come from has other modules in it than that of the harness.
    command = [sys.executable, "-m", "tests.compositions.run", "--count", str(COUNT), "--turns", str(TURNS)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-20000:]}\n{done.stderr[-2000:]}"
    assert " 0 disagreements, 0 crashes" in done.stdout.splitlines()[-1]


def test_strategies_take_turns_and_each_has_one() -> None:
    one = program(0)
    turns = [set(strategies_in_turn(one, seed, TURNS)) for seed in range(TURNS)]
    assert set.union(*turns) == set(strategies_of(one))
    assert set.intersection(*turns) == set(ALWAYS) & set(strategies_of(one))
    assert set(strategies_in_turn(one, 7, 1)) == set(strategies_of(one))


@pytest.mark.long
def test_a_child_that_dies_takes_no_more_than_one_program_with_it() -> None:
    seeds, found = list(range(40)), []
    for one in judged(seeds, processes=1, only=("identity",), method="spawn"):
        if not found:
            for child in multiprocessing.active_children():
                child.kill()
        found.append(one)
    assert sorted(one.seed for one in found) == seeds
    assert [fault.kind for one in found for fault in one.verdict.faults if fault.what == "process"] == ["crashes"]


@pytest.mark.long
def test_every_operation_is_met_in_the_first_thousand_programs() -> None:
    assert len(OPERATIONS) >= 70
    met = {name for seed in range(1000) for name in program(seed).operations}
    assert set(OPERATIONS) - met == set()


def test_a_seed_gives_the_same_program_again() -> None:
    for seed in range(20):
        one, other = program(seed), program(seed)
        assert one.text == other.text
        with torch.no_grad():
            torch.testing.assert_close(one.function(one.x), other.function(other.x), rtol=0, atol=0, equal_nan=True)


def test_programs_work_row_by_row() -> None:
    for seed in range(200):
        one = program(seed)
        with torch.no_grad():
            rows = torch.cat([one.function(row.unsqueeze(0)) for row in one.x])
            torch.testing.assert_close(one.function(one.x), rows, msg=lambda text, one=one: f"{one.text}\n{text}")


def test_the_truth_is_what_differences_see() -> None:
    for seed in range(200):
        one = program(seed)
        if one.cut or one.special or "cdist" in one.operations:
            continue
        wide, narrow = (by_differences(one, one.x, 10 * h) for h in STEPS)
        truth = values(one, one.x)
        if float((wide - narrow).abs().max()) <= 1e-6 * truth.size:
            assert float((truth.result - narrow).abs().max()) <= 1e-5 * truth.size, one.text
