"""What every strategy shares: preparing, checking, and saying why not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jacstrat import ShapeError, UnsupportedError, UsageError, parse_strategy
from jacstrat.core.operator import OPERATORS, parse_operator
from jacstrat.strategies import default_strategies
from tests.share import shared

pytestmark = pytest.mark.long(but_one_in=3)

X = torch.ones(2, 3)
each = pytest.mark.parametrize("name", default_strategies())


def prepare(name: str, operator: str, f, x=X):
    strategy = parse_strategy(name)
    if strategy.refuse(parse_operator(operator)):
        pytest.skip("serves another operator")
    return strategy.prepare(operator, f, x)


@each
def test_a_wrong_field_shape_names_both_shapes(name: str) -> None:
    with pytest.raises(ShapeError, match=r"the field must map \(.*3\) to \(.*3\), got \(.*2\)$"):
        prepare(name, "divergence", lambda x: x[..., :2])(X)


@each
def test_a_wrong_scalar_shape_names_the_remedy(name: str) -> None:
    message = r"the scalar must map \(2, 3\) to \(2,\), got \(\); if f takes one point and not a batch, give "
    with pytest.raises(ShapeError, match=message + r"torch\.func\.vmap\(f\)$"):
        prepare(name, "laplacian", lambda x: x.square().sum())(X)


def cubes(x: Tensor) -> Tensor:
    return (x**3).sum(-1)


# Scalars with an axis of outputs, or complex ones, each of them cubes times a constant.
SCALED: dict[str, tuple[Callable[[Tensor], Tensor], Tensor]] = {
    "(B, 1)": (lambda x: cubes(x).unsqueeze(-1), torch.ones(1)),
    "(B, 2)": (lambda x: torch.stack((cubes(x), -2 * cubes(x)), -1), torch.tensor([1.0, -2.0])),
    "complex": (lambda x: torch.complex(cubes(x), 3 * cubes(x)), torch.tensor(1 + 3j)),
    "complex (B, 1)": (lambda x: torch.complex(cubes(x), 3 * cubes(x)).unsqueeze(-1), torch.tensor([1 + 3j])),
    "complex (B, 2)": (
        lambda x: torch.stack((torch.complex(cubes(x), 3 * cubes(x)), cubes(x) + 0j), -1),
        torch.tensor([1 + 3j, 1 + 0j]),
    ),
}


def sloppy(name: str) -> bool:
    """Whether it estimates."""
    return parse_strategy(name).stochastic


@pytest.mark.parametrize("operator", ["laplacian", "hessian_diagonal"])
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for row, name in enumerate(default_strategies())
        for column, kind in enumerate(SCALED)
        if shared(row, column)
    ],
)
def test_outputs_of_a_scalar_are_each_by_itself_and_complex_ones_their_parts(
    name: str, operator: str, kind: str
) -> None:
    f, scale = SCALED[kind]
    x = torch.linspace(0.5, 1.5, 6, dtype=torch.float64).view(2, 3)
    diagonal = 6 * x
    if operator == "laplacian":
        expected = diagonal.sum(-1).view(2, *[1] * scale.dim()) * scale
    else:
        expected = diagonal.view(2, *[1] * (scale.numel() > 1), 3) * (
            scale.unsqueeze(-1) if scale.numel() > 1 else scale.view(())
        )
    generator = torch.Generator().manual_seed(0)
    strategy = parse_strategy(name)
    if strategy.refuse(parse_operator(operator)):
        pytest.skip("serves another operator")
    for points, right in ((x, expected), (x[0], expected[0]), (x[:0], expected[:0])):
        found = strategy.prepare(operator, f, points, generator)(points)
        assert found.shape == right.shape
        assert found.dtype == (torch.complex128 if kind.startswith("complex") else torch.float64)
        if not sloppy(name):
            torch.testing.assert_close(found, right.to(found.dtype))


@each
def test_a_tuple_is_refused(name: str) -> None:
    with pytest.raises(ShapeError, match="the field must return one tensor, got tuple; return its one output"):
        prepare(name, "divergence", lambda x: (x, x))(X)


@each
@pytest.mark.parametrize("tracked", [True, False])
def test_a_function_that_does_not_depend_on_x_has_derivative_zero(name: str, tracked: bool) -> None:
    W = torch.ones(3, requires_grad=tracked)
    if parse_strategy(name).refuse(OPERATORS["divergence"]) is None:
        assert prepare(name, "divergence", lambda x: W.expand(x.shape) * 1)(X).tolist() == [0, 0]
    if parse_strategy(name).refuse(OPERATORS["laplacian"]) is None:
        assert prepare(name, "laplacian", lambda x: W.sum().expand(x.shape[:-1]) * 1)(X).tolist() == [0, 0]
        assert prepare(name, "laplacian", lambda x: (W * x).sum(-1))(X).tolist() == [0, 0]


@each
def test_no_points_give_no_results(name: str) -> None:
    empty = torch.ones(0, 3)
    if parse_strategy(name).refuse(OPERATORS["divergence"]) is None:
        assert prepare(name, "divergence", torch.sin, empty)(empty).shape == (0,)
    assert prepare(name, "laplacian", lambda x: x.sin().sum(-1), empty)(empty).shape == (0,)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (
            torch.ones(2, 3, dtype=torch.int64),
            UsageError,
            "x must be real and floating-point, got torch.int64; use x.double()",
        ),
        (torch.ones(2, 3, dtype=torch.complex64), UsageError, "got torch.complex64"),
        (torch.ones(()), ShapeError, r"x must be a point \(n,\) or points \(B, n\) with n >= 1, got shape \(\)"),
        (torch.ones(2, 0), ShapeError, r"got shape \(2, 0\)"),
        (torch.ones(2, 3, 4), ShapeError, r"got shape \(2, 3, 4\)"),
        ([1.0, 2.0], UsageError, "x must be a torch.Tensor, got list"),
    ],
)
def test_x_that_is_no_point(x, error, message: str) -> None:
    with pytest.raises(error, match=message):
        parse_strategy("identity").prepare("divergence", torch.sin, x)


def test_another_n_than_prepared_for() -> None:
    evaluate = prepare("identity", "divergence", torch.sin)
    with pytest.raises(ShapeError, match=r"prepared for points with n = 3, got x of shape \(2, 4\); prepare again"):
        evaluate(torch.ones(2, 4))
    assert evaluate(torch.ones(7, 3)).shape == (7,)


def test_an_unknown_operator_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown operator 'divergenze'; did you mean divergence?"):
        parse_strategy("identity").prepare("divergenze", torch.sin, X)


class _OldStyle(torch.autograd.Function):
    """A custom function as written before torch.func: plain autograd serves it, transforms do not."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0].cos()


def test_a_function_without_transforms_is_served_by_plain_autograd_and_refused_by_the_others() -> None:
    torch.testing.assert_close(prepare("identity", "divergence", _OldStyle.apply)(X), X.cos().sum(-1))
    for name in ("vmap", "jvp", "jacrev", "jacfwd"):
        with pytest.raises(UnsupportedError, match=f"^{name} cannot differentiate this function: .*setup_context"):
            prepare(name, "divergence", _OldStyle.apply)(X)


def test_an_operation_without_a_batching_rule_is_named() -> None:
    def item(x):
        return x * x.max().clamp(1, 1).item()

    with pytest.raises(UnsupportedError, match="^jacrev cannot differentiate this function: vmap: "):
        prepare("jacrev", "divergence", item)(X)


def test_an_error_of_the_function_is_its_own() -> None:
    def broken(x):
        raise ZeroDivisionError("mine")

    for name in ("identity", "vmap", "jvp"):
        with pytest.raises(ZeroDivisionError, match="mine"):
            prepare(name, "divergence", broken)(X)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        prepare("identity", "divergence", lambda x: x @ torch.ones(7, 7))(X)
