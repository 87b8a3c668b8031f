"""Divergence, Laplacian and their kin, of row-wise functions: what a user calls first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jacstrat.core.errors import ShapeError
from jacstrat.core.operator import OPERATORS, Operator
from jacstrat.strategies import Strategy, parse_strategy
from jacstrat.strategies.along import check_direction, check_order, derivatives
from jacstrat.strategies.checked import checked, plain_attention
from jacstrat.strategies.error_hints import hinted
from jacstrat.strategies.points import check_args, check_function, check_points, outside_inference_mode, usable
from jacstrat.strategies.products import gradient_of, pullback
from jacstrat.trace.arguments import Args, Function, bind

DEFAULT = "auto"


class ValueDivergence(NamedTuple):
    """A field's value and its divergence.

    Fields:
        value: f(x), (B, n).
        divergence: (B,).
    """

    value: Tensor
    divergence: Tensor


class ValueGradientLaplacian(NamedTuple):
    """A scalar's value, gradient and Laplacian.

    Fields:
        value: u(x), (B,) or (B, m).
        gradient: Of all coordinates, (B, n), or (B, m, n) of m outputs.
        laplacian: In the shape of the value.
    """

    value: Tensor
    gradient: Tensor
    laplacian: Tensor


def divergence(
    field: Function,
    x: Tensor,
    strategy: str | Strategy = DEFAULT,
    generator: torch.Generator | None = None,
    *,
    args: Args = (),
    coordinates: Sequence[int] | None = None,
    weight: Any = None,
    event_dim: int = 1,
) -> Tensor:
    """Divergence tr(df/dx) of a row-wise field at each point; with a weight tr(A df/dx).

    Args:
        field: Row-wise vector field, (B, n) -> (B, n); complex ones too. Over some coordinates it may have other
            outputs beside those of these, which are taken by their numbers; in order where S is not all, and f has |S|.
        x: Points, (B, n) or (n,).
        strategy: A Strategy, or its spec such as "vmap:chunk_size=64"; "auto" chooses the fastest exact one at the
            first call and remembers it.
        generator: Source of random probes; only stochastic strategies draw.
        args: Further arguments: field is called as field(x, *args). A tensor that is as long as x has rows goes with
            the rows; everything else is passed as it is.
        coordinates: Which the trace runs over, as in space and not time; all where not given.
        weight: A, as (n,) for a diagonal, (n, n), (B, n) or (B, n, n), or a function of the point, called as field is,
            that gives (B, n) or (B, n, n). With coordinates their part of it counts.
        event_dim: Axes of a point: x may be (B, *event) with so many.

    Returns:
        (B,), or () for a single point; dtype and device of x, complex where field is. Differentiable in x, in args, in
        the weight and in the field's parameters.

    Raises:
        ShapeError: field does not map (B, n) to (B, n); names both shapes.
        UnsupportedError: The strategy cannot serve this field; says why.
        UsageError: No such strategy, or x is not floating-point, or coordinates that x does not have.

    Cost: the strategy's products, see `jacstrat list strategies`: as many as there are coordinates in the trace, or as
    the rank of a constant weight.
    """
    operator = _operator("divergence", coordinates, weight)
    return parse_strategy(strategy).apply(operator, field, x, generator, args, event_dim)


def laplacian(
    scalar: Function,
    x: Tensor,
    strategy: str | Strategy = DEFAULT,
    generator: torch.Generator | None = None,
    *,
    args: Args = (),
    coordinates: Sequence[int] | None = None,
    weight: Any = None,
    event_dim: int = 1,
) -> Tensor:
    """Laplacian tr(d2u/dx2) of a row-wise scalar at each point; with a weight tr(A d2u/dx2), A of any sign.

    Args:
        scalar: Row-wise scalar function, (B, n) -> (B,), or (B, m), each output by itself; complex ones too.
        strategy: A Strategy, or its spec such as "jvp:chunk_size=all"; "auto" chooses the fastest exact one at the
            first call and remembers it.
        x: As for `divergence`.
        generator: As for `divergence`.
        args: As for `divergence`.
        coordinates: As for `divergence`.
        weight: As for `divergence`.
        event_dim: As for `divergence`.

    Returns:
        (B,) or (B, m) as the scalar gives it, less B for a single point; dtype and device of x, complex where the
        scalar is. Differentiable in x, in args, in the weight and in the scalar's parameters.

    Raises:
        ShapeError: scalar does not map (B, n) to (B,) or (B, m); names both shapes.
        UnsupportedError, UsageError: As for `divergence`.

    Cost: the strategy's products with the Hessian, see `jacstrat list strategies`, as for `divergence`.
    """
    operator = _operator("laplacian", coordinates, weight)
    return parse_strategy(strategy).apply(operator, scalar, x, generator, args, event_dim)


def jacobian_diagonal(
    field: Function,
    x: Tensor,
    strategy: str | Strategy = DEFAULT,
    generator: torch.Generator | None = None,
    *,
    args: Args = (),
    coordinates: Sequence[int] | None = None,
    event_dim: int = 1,
) -> Tensor:
    """Diagonal df_i/dx_i of the Jacobian of a row-wise field at each point.

    Args, errors and cost as for `divergence`.

    Returns:
        (B, n), or (n,) for a single point; of some coordinates these, in the order in which they are given.
    """
    operator = _operator("jacobian_diagonal", coordinates)
    return parse_strategy(strategy).apply(operator, field, x, generator, args, event_dim)


def hessian_diagonal(
    scalar: Function,
    x: Tensor,
    strategy: str | Strategy = DEFAULT,
    generator: torch.Generator | None = None,
    *,
    args: Args = (),
    coordinates: Sequence[int] | None = None,
    event_dim: int = 1,
) -> Tensor:
    """Diagonal d2u/dx_i2 of the Hessian of a row-wise scalar at each point.

    Args, errors and cost as for `laplacian`.

    Returns:
        (B, n), also for a scalar (B, 1), or (B, m, n) of m > 1 outputs; less B for a single point.
    """
    operator = _operator("hessian_diagonal", coordinates)
    return parse_strategy(strategy).apply(operator, scalar, x, generator, args, event_dim)


def bilaplacian(
    scalar: Function,
    x: Tensor,
    strategy: str | Strategy = DEFAULT,
    generator: torch.Generator | None = None,
    *,
    args: Args = (),
    coordinates: Sequence[int] | None = None,
    event_dim: int = 1,
) -> Tensor:
    """Laplacian of the Laplacian, sum_ij d4u/dx_i2 dx_j2, of a row-wise scalar at each point, as of a plate.

    Args, errors and results as for `laplacian`. Cost: the square of the strategy's.
    """
    operator = _operator("bilaplacian", coordinates)
    return parse_strategy(strategy).apply(operator, scalar, x, generator, args, event_dim)


def value_and_divergence(
    field: Function,
    x: Tensor,
    strategy: str | Strategy = DEFAULT,
    generator: torch.Generator | None = None,
    *,
    args: Args = (),
    coordinates: Sequence[int] | None = None,
    weight: Any = None,
    event_dim: int = 1,
) -> ValueDivergence:
    """A field and its divergence at each point, as a flow needs both at each step.

    Args and errors as for `divergence`. Cost: that of the divergence; what products by reverse mode are made of has the
    value in it, else it is one evaluation more.
    """
    operator = _operator("divergence", coordinates, weight)
    together = parse_strategy(strategy).together(operator, field, x, generator, args, event_dim)
    assert together.value is not None
    return ValueDivergence(together.value, together.result)


def value_gradient_laplacian(
    scalar: Function,
    x: Tensor,
    strategy: str | Strategy = DEFAULT,
    generator: torch.Generator | None = None,
    *,
    args: Args = (),
    coordinates: Sequence[int] | None = None,
    weight: Any = None,
    event_dim: int = 1,
) -> ValueGradientLaplacian:
    """A scalar, its gradient in all coordinates and its Laplacian at each point, as a wavefunction or a PINN needs.

    Args and errors as for `laplacian`. Cost: that of the Laplacian: `taylor` has all three in its one pass, and
    products by reverse mode the gradient; over some coordinates or with a weight a VJP of each output more.
    """
    operator = _operator("laplacian", coordinates, weight)
    together = parse_strategy(strategy).together(operator, scalar, x, generator, args, event_dim)
    assert together.value is not None
    assert together.gradient is not None
    return ValueGradientLaplacian(together.value, together.gradient, together.result)


def gradient(scalar: Function, x: Tensor, args: Args = ()) -> Tensor:
    """Gradient du/dx of a row-wise scalar at each point: (B, n), or (B, m, n) of m > 1 outputs; less B for one point.

    Args:
        scalar: As for `laplacian`.
        x: As for `laplacian`.
        args: As for `laplacian`.

    Raises:
        ShapeError: scalar does not map (B, n) to (B,) or (B, m); names both shapes.

    Cost: one evaluation and one VJP for the whole batch, of each output.
    """
    check_function(scalar)
    check_points(x)
    check_args(args)
    with outside_inference_mode(), hinted("gradient", scalar, x, args), plain_attention():
        return gradient_of(checked(scalar, OPERATORS["laplacian"]), usable(x), args)


def curl(field: Function, x: Tensor, args: Args = ()) -> Tensor:
    """Curl of a row-wise field in three dimensions at each point: (B, 3), or (3,) for a single point.

    Args:
        field: As for `divergence`.
        x: As for `divergence`.
        args: As for `divergence`.

    Raises:
        ShapeError: n is not 3, or field does not map (B, 3) to (B, 3).

    Cost: one evaluation and three VJPs for the whole batch; of a complex field three evaluations and six VJPs.
    """
    check_function(field)
    check_points(x)
    check_args(args)
    if x.shape[-1] != 3:
        raise ShapeError(f"curl needs n = 3, got x of shape {tuple(x.shape)}")
    with outside_inference_mode(), hinted("curl", field, x, args), plain_attention():
        return _curl_of(bind(checked(field, OPERATORS["divergence"]), args), usable(x))


def _curl_of(field: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    linear = pullback(field, x)
    if linear.value is not None and linear.value.is_complex():
        return torch.complex(_curl_of(lambda x: field(x).real, x), _curl_of(lambda x: field(x).imag, x))
    J = torch.stack([linear(unit) for unit in torch.eye(3, dtype=x.dtype, device=x.device)])
    return torch.stack((J[2, ..., 1] - J[1, ..., 2], J[0, ..., 2] - J[2, ..., 0], J[1, ..., 0] - J[0, ..., 1]), -1)


def derivatives_along(u: Function, x: Tensor, v: Tensor, order: int, args: Args = ()) -> Tensor:
    """u, v.grad u, v^T H v, ...: the derivatives d^k/ds^k u(x + s v) at s = 0 for k = 0 .. order.

    By Taylor arithmetic: the coefficients of every intermediate result in s, in one pass through u's operations, which
    are recorded once. They are held against nested reverse mode and against differences of each other, up to order 4,
    when they are first computed for a function; where a tape does not serve, nested reverse mode does the work.

    Args:
        u: Row-wise scalar function, (B, n) -> (B,), or several, (B, n) -> (B, m); complex ones too.
        x: Points, (B, n) or (n,).
        v: The direction, (n,), or that of each point, in the shape of x; of any length.
        order: The highest derivative, at least 1.
        args: Further arguments: u is called as u(x, *args); those of the rows go with them.

    Returns:
        (order + 1, B), or (order + 1, B, m); without B for a single point. dtype and device of u(x). Differentiable in
        x, v, args and u's parameters.

    Raises:
        ShapeError: v does not fit x, or u does not map (B, n) to (B,) or (B, m); names both shapes.
        UnsupportedError: torch cannot differentiate u so often, or is found to be wrong about it; says why.
        UsageError: order is no whole number of at least 1, or x or v is not floating-point.

    Cost: order + 1 evaluations of u for what is linear in it, order^2 / 2 for what is not; by nested reverse mode, as
    for what cannot be traced, about 2^order.

    Source: Griewank & Walther 2008, Evaluating Derivatives, chapter 13; Bettencourt et al. 2019, Taylor-mode automatic
    differentiation for higher-order derivatives in JAX.
    """
    check_order(order)
    check_points(x)
    check_args(args)
    check_direction(x, v)
    return derivatives(u, x, v.unsqueeze(0), order, args)[0]


def _operator(name: str, coordinates: Sequence[int] | None = None, weight: Any = None) -> Operator:
    plain = OPERATORS[name]
    if coordinates is None and weight is None:
        return plain
    return Operator(name, plain.kind, plain.order, plain.reduce, coordinates, weight)  # type: ignore[arg-type]
