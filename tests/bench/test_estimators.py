"""The figures of the stochastic strategies, on few draws: they are counts, so they may decide a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.checks import estimators
from jacstrat import PROBLEMS

ROOT = Path(__file__).parents[2]


def test_the_fewest_products_are_those_of_the_least_budget_that_is_enough() -> None:
    instance = PROBLEMS["squared_norm"].instance(8, 1)
    # Exact with any probes: the least budget, and the one product that the gradient takes.
    assert estimators.fewest("hutchinson", instance, 16.0, 20) == 4 + 1
    # No estimate is near a truth that is not true, until the budgets are used up.
    with pytest.raises(IndexError):
        estimators.fewest("hutch++", instance, 17.0, 2)


def test_products_are_fewer_than_hutchinsons() -> None:
    figures = estimators.products(20, 64)
    assert [figure.met for figure in figures] == [True] * 3
    assert all(figure.value < figure.target / 4 for figure in figures)


@pytest.mark.parametrize(("covered", "met"), [(0.68, True), (0.64, True), (0.62, False), (0.74, False)])
def test_hutchinsons_coverage_has_two_bounds(covered: float, met: bool) -> None:
    assert estimators.judge("hutchinson:probes=32", "", covered, 1000).met is met


def test_the_others_are_held_to_what_they_claim() -> None:
    assert estimators.judge("hutch++:probes=32", "", 0.6, 1000).met
    assert not estimators.judge("hutch++:probes=32", "", 0.4, 1000).met


@pytest.mark.long
def test_the_script_prints_a_table_and_its_exit_code() -> None:
    done = subprocess.run(
        [sys.executable, "bench/stochastic.py", "--quick"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    rows = [line for line in done.stdout.splitlines() if line.startswith(("| products", "| coverage"))]
    assert len(rows) == 3 + 4 + 3 + 3
    assert done.returncode == int(any("missed" in row for row in rows)), done.stderr
