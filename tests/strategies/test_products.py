"""Each product with a Jacobian against the Jacobian written out, at one field of several points."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat.strategies.products import (
    curvature,
    functional_gradient,
    gradient_of,
    jvp,
    reverse,
    reverse_gradient,
    vjp,
)

D = torch.float64
M = torch.tensor([[1.0, 2.0, 0.0], [0.5, -1.0, 3.0], [0.0, 0.2, 1.0]], dtype=D)
X = torch.tensor([[0.1, 0.2, 0.3], [-0.4, 0.5, 1.0]], dtype=D)
V = torch.tensor([1.0, -2.0, 0.5], dtype=D)


def field(x: Tensor, scale: float = 1.0) -> Tensor:
    return (x @ M.T).sin() * scale


def scalar(x: Tensor, scale: float = 1.0) -> Tensor:
    return (x @ M.T.to(x.dtype)).sin().sum(-1) * scale


J = torch.stack([torch.func.jacrev(field)(x) for x in X])
H = torch.stack([torch.func.hessian(scalar)(x) for x in X])
AT_EACH = torch.stack((V, V.flip(0)))


@pytest.mark.parametrize("probe", [V, AT_EACH], ids=["one for all points", "one a point"])
@pytest.mark.parametrize(("product", "left"), [(reverse, True), (vjp, True), (jvp, False)])
def test_a_product_is_that_of_the_matrix(product, left: bool, probe: Tensor) -> None:
    v = probe.expand_as(X)
    expected = torch.einsum("bi,bij->bj", v, J) if left else torch.einsum("bij,bj->bi", J, v)
    torch.testing.assert_close(product(field, X)(probe), expected)
    torch.testing.assert_close(product(field, X, 2.0)(probe), 2 * expected)


@pytest.mark.parametrize("gradient", [reverse_gradient, functional_gradient])
@pytest.mark.parametrize("product", [reverse, vjp])
def test_of_the_gradient_of_a_scalar_it_is_that_of_the_hessian(gradient, product) -> None:
    torch.testing.assert_close(product(gradient(scalar), X)(V), torch.einsum("bij,j->bi", H, V))


def test_the_curvature_along_a_probe_is_its_form_in_the_hessian() -> None:
    torch.testing.assert_close(curvature(scalar, X)(V), torch.einsum("i,bij,j->b", V, H, V))
    assert curvature(scalar, X[0].float())(V.float()).dtype == torch.float32


@pytest.mark.parametrize("product", [reverse, vjp])
def test_what_does_not_depend_on_x_has_the_product_zero(product) -> None:
    assert product(lambda x: torch.ones_like(x), X)(V).tolist() == torch.zeros(2, 3).tolist()


@pytest.mark.parametrize("product", [reverse, vjp])
def test_the_value_comes_along_without_a_graph_where_none_is_tracked(product) -> None:
    x = X.clone().requires_grad_()
    linear = product(field, x)
    torch.testing.assert_close(linear.result, field(X), check_stride=False)
    assert linear.result.requires_grad
    with torch.no_grad():
        assert not product(field, x).result.requires_grad
    assert jvp(field, X).result is None


def test_a_function_that_closes_over_x_is_differentiated_in_its_argument_alone() -> None:
    x = X.clone().requires_grad_()
    torch.testing.assert_close(reverse(lambda y: y * x, x)(V).detach(), V * X)


def test_gradients_of_a_scalar_are_those_of_each_output_and_of_both_parts() -> None:
    slope = torch.func.grad(lambda x: scalar(x).sum())(X)
    torch.testing.assert_close(gradient_of(scalar, X), slope)
    torch.testing.assert_close(gradient_of(lambda x: scalar(x).unsqueeze(-1), X), slope)
    two = gradient_of(lambda x: torch.stack((scalar(x), 3 * scalar(x)), -1), X)
    torch.testing.assert_close(two, torch.stack((slope, 3 * slope), 1))
    parts = gradient_of(lambda x: torch.complex(scalar(x), -scalar(x)), X)
    torch.testing.assert_close(parts, torch.complex(slope, -slope))
