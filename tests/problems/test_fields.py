"""The divergences of the fields, simplified, against the sums of their diagonals."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jacstrat.problems import PROBLEMS
from jacstrat.problems.fields import FIELDS

Weights = Mapping[str, np.ndarray]


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


DIVERGENCES: dict[str, Callable[[np.ndarray, Weights], np.ndarray]] = {
    "linear": lambda x, w: np.full(len(x), np.trace(w["A"])),
    "softmax": lambda x, w: 1 - (softmax(x) ** 2).sum(-1),
    "cubic": lambda x, w: (x.shape[-1] + 2) * (x**2).sum(-1),
}


def test_every_field_has_a_divergence_here() -> None:
    assert list(DIVERGENCES) == [problem.name for problem in FIELDS]


@pytest.mark.parametrize("name", DIVERGENCES)
@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 24), seed=st.integers(0, 2**32))
def test_divergence_is_the_simplified_one(name: str, n: int, seed: int) -> None:
    instance = PROBLEMS[name].instance(n, batch=3, seed=seed)
    reference = instance.reference("divergence")
    weights = {key: value.detach().numpy().astype(np.longdouble) for key, value in instance.parameters.items()}
    expected = DIVERGENCES[name](instance.x.numpy().astype(np.longdouble), weights)
    assert expected.dtype == np.longdouble
    error = np.abs(reference.value("divergence") - expected)
    assert (error <= 64 * np.finfo(np.longdouble).eps * reference.scale("divergence")).all()


def test_a_few_numbers_by_hand() -> None:
    def diagonal(name: str, *x: float) -> list[float]:
        function = PROBLEMS[name].diagonal
        assert function is not None
        return function(np.array([x])).tolist()[0]

    assert diagonal("cubic", 1, 2) == [5 + 2, 5 + 8]
    assert diagonal("softmax", 3, 3) == [0.25, 0.25]


def test_softmax_survives_large_arguments() -> None:
    function = PROBLEMS["softmax"].diagonal
    assert function is not None
    assert function(np.array([[800.0, 800.0]])).tolist() == [[0.25, 0.25]]


def test_values_by_hand() -> None:
    def value(name: str, *x: float) -> list[float]:
        return PROBLEMS[name].function(torch.tensor(x, dtype=torch.float64)).tolist()

    assert value("cubic", 1, 2) == [5, 10]


def test_numbers_are_pinned() -> None:
    # PCG64 and its uniform draws are the same everywhere; normal ones go through libm, rarely, and may move by an ulp.
    x = PROBLEMS["cubic"].instance(2, batch=2).x
    assert x.tolist() == [[0.7794775825562685, 0.11427610041245262], [0.6018161737839443, 0.9130276349506772]]
    A = PROBLEMS["linear"].instance(2, batch=1).parameters["A"]
    assert A[0].tolist() == pytest.approx([0.08890469193522228, -0.09341224466100137], rel=1e-15)
    assert A[1].tolist() == pytest.approx([0.4528471989539066, 0.07417558418617765], rel=1e-15)
    assert not torch.equal(A, PROBLEMS["linear"].instance(2, batch=1, seed=1).parameters["A"])


def test_matrix_is_unsymmetric_and_of_order_one() -> None:
    A = PROBLEMS["linear"].instance(64, batch=1).parameters["A"].detach()
    assert float(A.std()) == pytest.approx(1 / 8, rel=0.05)
    assert not torch.equal(A, A.T)
