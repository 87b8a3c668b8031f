"""A mistake in a closed form does not pass: every mutant of it is off from a dense autodiff matrix."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from jacstrat.problems import PROBLEMS, Problem
from jacstrat.problems.dense import dense_reference
from tests.problems.mutants import Mutant, mutants
from tests.problems.test_problems import entries

pytestmark = pytest.mark.long(but_one_in=3)

CLOSED = [problem for problem in PROBLEMS.values() if problem.diagonal is not None]
# Mutants that are no mistakes, with the reason; by problem, in the order in which they are made.
SHIFTED = {
    "softmax_diagonal: x - x.max(-1, keepdims=True) -> x": "softmax knows no shift; it keeps exp small",
    "softmax_diagonal: x - x.max(-1, keepdims=True) -> x + x.max(-1, keepdims=True)": "nor with another shift",
}
TWICE = {
    "tanh_slope: return 1 / np.cosh(z) ** 2 -> return -(1 / np.cosh(z) ** 2)": "two slopes in each product: (-1)^2 = 1",
}
EQUIVALENT: dict[str, dict[str, str]] = {
    "softmax": SHIFTED,
    "logsumexp": SHIFTED,
    "bilinear": {"result: D -> -D": "every H_ii is 0", "result: D -> 2 * D": "every H_ii is 0"},
    "tanh_field": TWICE,
    "flow": TWICE,
    "conditional_flow": TWICE,
    "score_gelu": {"erf: 7 -> 8": "erf is -1 beyond -7 to every digit", "erf: 7 -> 8 #2": "and 1 beyond 7"},
}


def survivors(problem: Problem, spec: str = "") -> tuple[list[Mutant], int]:
    """The mutants of the diagonal, or of the closed form of that spec, that agree with the dense matrix, and how many
    there are in all."""
    n = next(n for n in (4, 9, *problem.sizes) if problem.refuse(n) is None)
    instance = problem.instance(n, batch=3, seed=3)
    operator = instance.operator(spec or entries(problem))
    x = instance.x.numpy()
    weights = {name: value.detach().numpy() for name, value in instance.parameters.items()}
    if isinstance(operator.weight, torch.Tensor):
        weights["A"] = operator.weight.numpy()
    args = [arg.numpy() for arg in instance.args]
    true = dense_reference(instance.f, instance.x, operator, instance.args).value(operator).astype(np.float64)

    def agrees(mutant: Mutant) -> bool:
        try:
            found = operator.reduced(np.asarray(mutant.diagonal(x.copy(), *args, **weights)))
        except Exception:
            # A mistake that does not even run is caught by whatever runs it.
            return False
        return found.shape == true.shape and bool(np.abs(found - true).max() <= 1e-9 * (np.abs(true).max() or 1))

    every = list(mutants(problem.closed[spec] if spec else problem.diagonal))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [mutant for mutant in every if agrees(mutant)], len(every)


@pytest.mark.parametrize("problem", CLOSED, ids=lambda problem: problem.name)
def test_every_mutant_is_caught(problem: Problem) -> None:
    alive, total = survivors(problem)
    # Three of the result; those of sin and bilinear are functions of numpy, without a source to change.
    assert (total > 3) == (problem.name not in ("sin", "bilinear"))
    assert [mutant.name for mutant in alive] == list(EQUIVALENT.get(problem.name, ()))


@pytest.mark.parametrize(("name", "spec"), [(p.name, spec) for p in PROBLEMS.values() for spec in p.closed])
def test_every_mutant_of_a_further_closed_form_is_caught(name: str, spec: str) -> None:
    alive, total = survivors(PROBLEMS[name], spec)
    assert total > 3
    assert [mutant.name for mutant in alive] == []


def test_mutants_change_signs_factors_terms_and_functions() -> None:
    assert [mutant.name for mutant in mutants(PROBLEMS["bratu"].diagonal)] == [
        "result: D -> -D",
        "result: D -> 2 * D",
        "result: D -> D + 1",
        "_bratu_diagonal: return np.exp(x) - 2 -> return -(np.exp(x) - 2)",
        "_bratu_diagonal: np.exp(x) - 2 -> np.exp(x)",
        "_bratu_diagonal: np.exp(x) - 2 -> 2",
        "_bratu_diagonal: np.exp(x) - 2 -> np.exp(x) + 2",
        "_bratu_diagonal: np.exp(x) - 2 -> 2 * (np.exp(x) - 2)",
        "_bratu_diagonal: 2 -> 3",
    ]
    names = {mutant.name for mutant in mutants(PROBLEMS["two_body"].diagonal)}
    # Sine for cosine, a statement left out, and the function that it calls.
    assert "_two_body_diagonal: np.cos -> np.sin" in names
    assert "_two_body_diagonal: first[..., 1:] += cosine * p_b -> pass" in names
    assert "in_ball: 4 * x * first -> x * first" not in names
    assert "in_ball: 4 * x -> x" in names


def test_a_mutant_computes_what_it_says() -> None:
    x = np.array([[0.5, -1.0]])
    found = {mutant.name: mutant.diagonal for mutant in mutants(PROBLEMS["bratu"].diagonal)}
    np.testing.assert_array_equal(found["_bratu_diagonal: np.exp(x) - 2 -> np.exp(x) + 2"](x), np.exp(x) + 2)
    np.testing.assert_array_equal(found["_bratu_diagonal: 2 -> 3"](x), np.exp(x) - 3)
    assert PROBLEMS["bratu"].diagonal is not None
    np.testing.assert_array_equal(PROBLEMS["bratu"].diagonal(x), np.exp(x) - 2)
