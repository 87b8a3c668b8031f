"""Wrong on purpose: the ones vector on every problem, and what the harness says of it.

v^T J v with v = 1 is the sum of all entries of J: off from the trace by the sum of the off-diagonal ones, which a dense
matrix tells.
"""

from __future__ import annotations

import numpy as np
import pytest
from torch import Tensor
from torch.func import jacrev, vmap

from jacstrat import PROBLEMS
from jacstrat.core.case import Case
from jacstrat.core.operator import Operator
from jacstrat.harness.cell.prepared_case import prepare_case
from jacstrat.harness.cell.setup import set_up
from jacstrat.harness.cell.surroundings import surroundings
from jacstrat.harness.cell.verdicts import verdict
from jacstrat.harness.plan.cases import Cell
from jacstrat.measure.accuracy import TOLERANCES
from jacstrat.problems import Problem
from jacstrat.problems.base import Instance
from jacstrat.strategies.reduction import reduction

pytestmark = pytest.mark.long(but_one_in=3)

# Where the off-diagonal entries are not all 0 and add up to 0 at every point.
CANCELLING = {
    "lorenz96": "x_{i-1} by x_{i+1}, -x_{i-1} by x_{i-2}, x_{i+1} - x_{i-2} by x_{i-1}: around the ring they cancel",
    "taylor_green": "over x and y alone: cos x cos y F by the other, and its negative",
}
# Over one coordinate there is nothing beside the diagonal.
SINGLE = ("korteweg_de_vries",)
# The ones of a Laplacian that was taken by ones are no sum of entries of one matrix.
NESTED = ("plate",)


def right_by_ones(problem: Problem) -> bool:
    return problem.structure == "diagonal" or problem.name in (*CANCELLING, *SINGLE)


def matrices(instance: Instance, operator: Operator) -> Tensor:
    """J or H at each point, (B, n, n), of what the operator is reduced to; (B, m, n, n) of m outputs."""
    reduced, _ = reduction(operator, instance.f, instance.x, instance.args, 1, needs_scalar=False)
    z, args = reduced.points(instance.x, instance.args)

    def row(z: Tensor, *args: Tensor) -> Tensor:
        return reduced.function(z.unsqueeze(0), *(arg.unsqueeze(0) for arg in args))[0]

    return vmap(jacrev(jacrev(row)) if reduced.operator.is_second else jacrev(row))(z, *args)


def ones_on(cell, problem: Problem) -> Case:
    n = next(n for n in (8, 9, *problem.sizes) if problem.refuse(n) is None)
    (case,) = cell(problem.name, "ones", operator=problem.operators[0], n=n, batch=3).cases
    return case


@pytest.mark.parametrize(
    "problem",
    [problem for name, problem in PROBLEMS.items() if name not in NESTED],
    ids=lambda problem: problem.name,
)
def test_ones_is_off_by_the_sum_of_the_off_diagonal_entries(cell, problem: Problem) -> None:
    case = ones_on(cell, problem)
    one = Cell.of(case)
    with surroundings(one):
        bench = set_up(one)
        instance, operator = bench.instance, bench.operator
        J = matrices(instance, operator).detach().numpy()
        off_diagonal = J * (1 - np.eye(J.shape[-1]))
        predicted = off_diagonal.sum((-2, -1))
        result = bench.prepare("ones", instance.f)(instance.x, *instance.args).detach().numpy()
        contestant = prepare_case(case, bench, lambda name: None)
    rounding = 1e-12 * np.abs(J).sum((-2, -1))
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
    problem = PROBLEMS[name]
    instance = problem.instance(8 if problem.refuse(8) is None else problem.sizes[0], batch=1)
    J = matrices(instance, instance.operator(problem.operators[0]))[0]
    assert int((J != 0).sum()) > len(J)
