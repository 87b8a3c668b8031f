"""Derivatives along lines through whole functions: closed forms, growth of work, many directions at once."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from jacstrat.series import TapedLine, nested
from tests.taylor.functions import FUNCTIONS
from tests.taylor.samples import draw

pytestmark = pytest.mark.long(but_one_in=3)

X = torch.rand(3, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
V = draw(2, 12, seed=5) - 0.75
# Nested reverse mode takes seconds for the third.
LOW = {"attention", "encoder", "determinants"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_as_people_write_them(name: str) -> None:
    f, order = FUNCTIONS[name], 2 if name in LOW else 3
    found = TapedLine(f).derivatives(X, V, order)
    assert found.shape == (2, order + 1, 3)
    with sdpa_kernel(SDPBackend.MATH):  # as only this form of attention has second derivatives
        expected = torch.stack([nested(f, X, v.expand_as(X), order) for v in V])
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9)


def test_value_is_that_of_the_function_and_gradients_are_those_of_the_nested_form() -> None:
    weight = (draw(12, 5, seed=3) - 0.7).requires_grad_()
    x, V_ = X.clone().requires_grad_(), V.clone().requires_grad_()

    def f(x):
        return torch.nn.functional.softplus(x @ weight).log().sum(-1)

    def weighted(found):
        return (found * torch.linspace(1, 2, found.numel(), dtype=found.dtype).view_as(found)).sum()

    found = TapedLine(f).derivatives(x, V_, 3)
    torch.testing.assert_close(found[:, 0], f(x).expand(2, 3), rtol=1e-14, atol=0)
    expected = torch.stack([nested(f, x, v.expand_as(x), 3) for v in V_])
    leaves = (x, V_, weight)
    mine, own = (torch.autograd.grad(weighted(each), leaves) for each in (found, expected))
    torch.testing.assert_close(mine, own)
    with torch.no_grad():
        assert not TapedLine(f).derivatives(x, V_, 2).requires_grad
        assert not nested(f, x, V[0].expand_as(x), 2).requires_grad
    assert not nested(lambda x: x.sin().sum(-1), X, V[0].expand_as(X), 2).requires_grad


def test_nested_inside_a_transform() -> None:
    v = V[0].expand_as(X)
    expected = nested(lambda x: x.sin().sum(-1), X, v, 3)
    found = torch.func.vmap(lambda x: nested(lambda x: x.sin().sum(-1), x, V[0], 3), out_dims=1)(X)
    torch.testing.assert_close(found, expected)
