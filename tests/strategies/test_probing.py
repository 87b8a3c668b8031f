"""Products read off at the entries of a diagonal: what comes along, and how many products a few entries take."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat import parse_strategy
from jacstrat.core.operator import OPERATORS
from jacstrat.strategies.probing import by_diagonal, by_units
from jacstrat.strategies.products import Linearised, jvp, reverse, vjp

D = torch.float64
X = torch.randn(3, 4, dtype=D, generator=torch.Generator().manual_seed(0))


def field(x: Tensor) -> Tensor:
    return x.pow(3) + x.sum(-1, keepdim=True)


def scalar(x: Tensor) -> Tensor:
    return x.pow(3).sum(-1)


@pytest.mark.parametrize("product", [reverse, vjp])
def test_of_a_field_the_value_comes_along_and_of_a_scalar_the_gradient(product) -> None:
    together = by_units(OPERATORS["divergence"], field, product, 1).together
    assert together is not None
    result, value, gradient = together(X)
    torch.testing.assert_close(result, (3 * X.square() + 1).sum(-1))
    torch.testing.assert_close(value.detach(), field(X))
    assert gradient is None
    together = by_units(OPERATORS["laplacian"], scalar, product, 1).together
    assert together is not None
    result, value, gradient = together(X)
    torch.testing.assert_close(result, 6 * X.sum(-1))
    torch.testing.assert_close(gradient.detach(), 3 * X.square())
    assert value is None


def test_forward_mode_has_no_value_until_it_has_products() -> None:
    together = by_units(OPERATORS["divergence"], field, jvp, 1).together
    assert together is not None
    assert together(X).value is None
    built = parse_strategy("forward_over_forward").build(OPERATORS["laplacian"], scalar, X, (), None)
    assert built.together is None


def test_a_few_entries_take_a_product_each_and_are_those_of_the_diagonal() -> None:
    products: list[int] = []

    def counted(f, x: Tensor, *args) -> Linearised:
        linear = reverse(f, x, *args)
        return Linearised(lambda v: products.append(1) or linear(v), linear.value)

    built = by_units(OPERATORS["jacobian_diagonal"], field, counted, 1)
    assert built.entries is not None
    found = built.entries(torch.tensor([3, 1]), X)
    assert len(products) == 2
    torch.testing.assert_close(found.detach(), (3 * X.square() + 1)[:, [3, 1]])
    torch.testing.assert_close(built.evaluate(X).detach(), 3 * X.square() + 1)
    assert len(products) == 2 + 4


def test_where_entries_have_no_way_of_their_own_they_are_picked_of_the_whole() -> None:
    built = by_diagonal(OPERATORS["divergence"], field, lambda x: Linearised(torch.neg), lambda linear, x: linear(x))
    assert built.entries is not None
    torch.testing.assert_close(built.entries(torch.tensor([2]), X), -X[:, [2]])
    torch.testing.assert_close(built.evaluate(X), -X.sum(-1))
