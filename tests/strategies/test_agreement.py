"""What counts as another result: by point and by leaf, relative to the size of the terms."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.core.operator import OPERATORS
from jacstrat.strategies.agreement import gradient_fault, result_fault

EPS = torch.finfo(torch.float64).eps
X = torch.linspace(0.1, 1, 12, dtype=torch.float64).view(4, 3)


def diagonal(x):
    return 3 * x.square()


def field(x):
    return x**3


@given(st.integers(0, 3), st.floats(1e-6, 1e6))
def test_one_point_that_is_off_is_seen(row: int, factor: float) -> None:
    expected = diagonal(X).sum(-1)
    found = expected.clone()
    found[row] *= 1 + factor
    fault = result_fault(OPERATORS["divergence"], field, X, (), found, expected)
    told = re.fullmatch(r"it is off by (\S+) of the sum of \|J_ii\|", fault)
    assert told is not None
    # Of two digits the second may be the next one, by rounding.
    assert float(told[1]) == pytest.approx(factor, rel=0.1)


@given(st.floats(-1, 1))
def test_rounding_is_no_fault(share: float) -> None:
    expected = diagonal(X).sum(-1)
    assert result_fault(OPERATORS["divergence"], field, X, (), expected * (1 + 100 * EPS * share), expected) == ""


def test_a_result_near_zero_is_measured_by_its_terms() -> None:
    def linear(x):
        return x * torch.tensor([1.0, -2.0, 1.0], dtype=x.dtype)

    zero = torch.zeros(4, dtype=torch.float64)
    assert result_fault(OPERATORS["divergence"], linear, X, (), zero + 1e-12, zero) == ""
    assert (
        result_fault(OPERATORS["divergence"], linear, X, (), zero + 1e-3, zero)
        == "it is off by 0.00025 of the sum of |J_ii|"
    )


def test_entries_of_a_diagonal_that_cancel_are_seen() -> None:
    expected = diagonal(X)
    found = expected + torch.tensor([0.1, -0.1, 0.0], dtype=X.dtype)
    assert result_fault(OPERATORS["jacobian_diagonal"], field, X, (), expected, expected) == ""
    assert result_fault(OPERATORS["jacobian_diagonal"], field, X, (), found, expected).startswith("it is off by ")


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_not_finite_is_a_fault_unless_it_is_so_in_the_eager_form(bad: float) -> None:
    expected = diagonal(X).sum(-1)
    found = expected.clone()
    found[1] = bad
    assert result_fault(OPERATORS["divergence"], field, X, (), found, expected) != ""
    assert result_fault(OPERATORS["divergence"], field, X, (), expected, found) == ""


def test_another_shape_is_a_fault() -> None:
    expected = diagonal(X).sum(-1)
    assert (
        result_fault(OPERATORS["divergence"], field, X, (), expected[:2], expected)
        == "its shape is (2,) instead of (4,)"
    )


def test_a_gradient_is_compared_leaf_by_leaf() -> None:
    a, b = (torch.ones(4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    expected = a * 3 + b * 5
    assert gradient_fault(5 * b + 3 * a, expected, [a, b]) == ""
    assert gradient_fault(a * 3 + (b * 5).detach(), expected, [a, b]) == "its gradient is off by 1 of its size"
    assert gradient_fault(a * 3 + b * 5.001, expected, [a, b]) == "its gradient is off by 0.0002 of its size"
    assert gradient_fault(expected.detach(), expected, [a, b]) == "its gradient is off by 1 of its size"
    assert gradient_fault(expected, expected, []) == ""


def test_errors_at_two_points_do_not_cancel_in_the_gradient() -> None:
    a = torch.ones(1, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([1.0, -1.0], dtype=torch.float64)
    assert gradient_fault(a * (2 + t), a * torch.full_like(t, 2.0), [a]) != ""
