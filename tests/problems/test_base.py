"""Instances and references, apart from any one problem."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from jacstrat import UsageError
from jacstrat.problems import PROBLEMS, Problem, Reference
from jacstrat.problems.base import uniform
from jacstrat.problems.reference import MARGIN


def test_value_and_scale_of_a_reference() -> None:
    reference = Reference(np.array([[1.0, -3.0], [2.0, 0.0]], np.longdouble), "by hand")
    assert reference.value("divergence").tolist() == [-2, 2]
    assert reference.value("laplacian").tolist() == [-2, 2]
    assert reference.value("jacobian_diagonal").tolist() == [[1, -3], [2, 0]]
    assert reference.scale("divergence").tolist() == [4, 2]
    assert reference.scale("jacobian_diagonal").tolist() == [[3, 3], [2, 2]]


def test_cancellation_is_what_a_sum_magnifies() -> None:
    rows = [[1.0, -3.0], [2.0, 0.0]]
    reference = Reference(np.array(rows, np.longdouble), "by hand")
    assert reference.cancellation("divergence") == reference.cancellation("laplacian") == 2
    # A diagonal is no sum.
    assert reference.cancellation("jacobian_diagonal") is None
    assert Reference(np.array([[1.0, -1.0], [2.0, 0.0]]), "by hand").cancellation("divergence") == np.inf
    # Terms that are all 0 cannot cancel: nothing is magnified.
    assert Reference(np.zeros((2, 2)), "by hand").cancellation("divergence") == 1


def test_what_a_reference_is_worth() -> None:
    diagonal = np.array([[1.0, -3.0], [2.0, 2.0], [0.0, 0.0], [5.0, 5.0]], np.longdouble)
    change = np.array([[2e-6, 2e-6], [0.0, 8e-6], [0.0, 0.0], [np.nan, np.nan]], np.longdouble)
    reference = Reference(diagonal, "by hand", torch.float64, change)
    assert reference.uncertainties("divergence") == pytest.approx(
        MARGIN * np.array([1e-6, 2e-6, 0, np.nan]), nan_ok=True
    )
    assert reference.error("laplacian") == reference.uncertainty("laplacian") == pytest.approx(MARGIN * 2e-6)
    assert reference.error("jacobian_diagonal") == pytest.approx(MARGIN * 4e-6)
    # A jump is told, and excuses nothing.
    jumps = replace(reference, change=np.where(diagonal == -3, 1, change))
    assert jumps.error("divergence") == pytest.approx(MARGIN * 0.25, rel=1e-3)
    assert jumps.uncertainty("divergence") == reference.uncertainty("divergence")
    # Terms that vanish are relative to nothing.
    vanishing = Reference(np.zeros((1, 2)), "by hand", torch.float64, np.ones((1, 2)))
    assert (vanishing.error("divergence"), vanishing.uncertainty("divergence")) == (None, 0)


def test_reference_is_that_of_the_rounded_points_and_weights() -> None:
    single = PROBLEMS["two_body"].instance(6, batch=3, dtype=torch.float32)
    double = PROBLEMS["two_body"].instance(6, batch=3)
    assert torch.equal(single.x, double.x.float())
    function = PROBLEMS["two_body"].diagonal
    assert function is not None
    c = single.parameters["c"].detach().double().numpy().astype(np.longdouble)
    expected = function(single.x.double().numpy().astype(np.longdouble), c=c)
    assert (single.reference("laplacian").diagonal == expected).all()
    assert (double.reference("laplacian").diagonal != expected).all()


@pytest.mark.parametrize("name", ["softmax", "tanh_field", "rosenbrock", "tanh_scalar"])
def test_without_a_closed_form_the_reference_is_dense_autograd(name: str) -> None:
    known = PROBLEMS[name]
    operator = known.operators[0]
    closed = known.instance(4, batch=3).reference(operator)
    dense = replace(known, diagonal=None).instance(4, batch=3).reference(operator)
    assert closed.source == "closed form in numpy.longdouble"
    assert dense.source == "dense autograd in float64"
    assert np.abs(dense.diagonal - closed.diagonal).max() <= 1e-13 * np.abs(closed.diagonal).max()


def test_operators_follow_from_the_kind() -> None:
    assert PROBLEMS["sin"].operators == ("divergence", "jacobian_diagonal")
    assert PROBLEMS["sin_sum"].operators == ("laplacian",)
    assert replace(PROBLEMS["sin"], kind=None, operators=()).operators == (
        "divergence",
        "jacobian_diagonal",
        "laplacian",
    )


def test_a_problem_with_few_words_has_the_defaults() -> None:
    problem = Problem("id", "field", "F(x) = x", "n", torch.clone, np.ones_like, "diagonal")
    instance = problem.instance(3, batch=100, dtype=torch.float32)
    assert instance.x.shape == (100, 3)
    assert instance.x.dtype == torch.float32
    assert -1 <= float(instance.x.min()) < -0.9
    assert 0.9 < float(instance.x.max()) <= 1
    assert instance.parameters == {}
    assert torch.equal(instance.f(instance.x), instance.x)
    assert instance.reference("divergence").value("divergence").tolist() == [3] * 100


def test_uniform_fills_rows_in_order() -> None:
    small, large = (uniform(2.0, 3.0)(4, batch, np.random.default_rng(5)) for batch in (2, 6))
    assert (small == large[:2]).all()
    assert small.min() >= 2
    assert small.max() < 3


def test_arguments_that_are_one_array_are_told_in_a_line() -> None:
    flow = replace(PROBLEMS["conditional_flow"], arguments=lambda n, batch, rng: rng.uniform(0, 1, (batch, 1)))
    told = "arguments of conditional_flow must give a tuple of arrays, \\(values,\\) of one, got a ndarray"
    with pytest.raises(UsageError, match=told):
        flow.instance(2, 3)
