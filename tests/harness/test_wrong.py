"""Wrong on purpose: the ones vector on every problem, and what the harness says of it.

v^T J v with v = 1 is the sum of all entries of J: off from the trace by the sum of the off-diagonal ones, which a dense
matrix tells.
"""

from __future__ import annotations

import numpy as np
import pytest
from torch.func import jacrev, vmap

from jacstrat import PROBLEMS
from jacstrat.core.case import Case
from jacstrat.harness.bench import enter, set_up, surroundings, verdict
from jacstrat.harness.cases import Cell
from jacstrat.measure.accuracy import TOLERANCES
from jacstrat.problems import Problem

# Where the off-diagonal entries are not all 0 and add up to 0 at every point.
CANCELLING = {
    "lorenz96": "x_{i-1} by x_{i+1}, -x_{i-1} by x_{i-2}, x_{i+1} - x_{i-2} by x_{i-1}: around the ring they cancel",
}


def right_by_ones(problem: Problem) -> bool:
    return problem.structure == "diagonal" or problem.name in CANCELLING


def ones_on(cell, problem: Problem) -> Case:
    n = next(n for n in (8, 9, *problem.sizes) if problem.refuse(n) is None)
    (case,) = cell(problem.name, "ones", operator=problem.operators[0], n=n, batch=3).cases
    return case


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=lambda problem: problem.name)
def test_ones_is_off_by_the_sum_of_the_off_diagonal_entries(cell, problem: Problem) -> None:
    case = ones_on(cell, problem)
    one = Cell.of(case)
    with surroundings(one):
        bench = set_up(one)
        instance, operator = bench.instance, bench.operator
        matrix = jacrev(instance.f) if problem.kind == "field" else jacrev(jacrev(instance.f))
        J = vmap(matrix)(instance.x).detach().numpy()
        off_diagonal = J * (1 - np.eye(J.shape[-1]))
        predicted = off_diagonal.sum((1, 2))
        result = bench.prepare("ones", instance.f)(instance.x).detach().numpy()
        contestant = enter(case, bench, lambda name: None)
    rounding = 1e-12 * np.abs(J).sum((1, 2))
    error = result - bench.reference.value(operator)
    assert (np.abs(error - predicted) <= rounding).all()
    assert contestant.errors.abs_error == pytest.approx(np.abs(predicted).max(), rel=1e-12, abs=rounding.max())

    tolerance = TOLERANCES["float64"].value
    with np.errstate(divide="ignore"):
        # bilinear has a diagonal of zeros, so that its relative error is infinite.
        relative = float((np.abs(predicted) / bench.reference.scale(operator)).max()) if predicted.any() else 0.0
    status, reason = verdict(contestant.errors, bench)
    if right_by_ones(problem):
        assert relative <= tolerance
        assert (status, reason) == ("ok", "")
    else:
        # Far beyond it, so that no rounding decides.
        assert relative > 1000 * tolerance
        assert status == "wrong"
        assert reason.endswith(f"is beyond the tolerance {TOLERANCES['float64']}")


@pytest.mark.parametrize("name", CANCELLING)
def test_what_cancels_is_not_diagonal(name: str) -> None:
    instance = PROBLEMS[name].instance(8, batch=1)
    J = jacrev(instance.f)(instance.x[0])
    assert int((J != 0).sum()) > 8
