"""Divergence, Laplacian, diagonal, gradient, curl and derivatives along a line: what a user calls first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from jacstrat.errors import ShapeError
from jacstrat.strategies import Operator, Strategy, parse_strategy
from jacstrat.strategies.along import check_direction, check_order, derivatives
from jacstrat.strategies.checked import checked, plain_attention
from jacstrat.strategies.points import check_points, outside_inference_mode, usable
from jacstrat.strategies.products import functional_gradient

DEFAULT = "auto"
Function = Callable[[Tensor], Tensor]


def divergence(
    field: Function, x: Tensor, strategy: str | Strategy = DEFAULT, generator: torch.Generator | None = None
) -> Tensor:
    """Divergence tr(df/dx) of a row-wise field at each point.

    Args:
        field: Row-wise vector field, (B, n) -> (B, n).
        x: Points, (B, n) or (n,).
        strategy: A Strategy, or its spec such as "vmap:chunk_size=64"; "auto" chooses the fastest exact one at the
            first call and remembers it.
        generator: Source of random probes; only stochastic strategies draw.

    Returns:
        (B,), or () for a single point; dtype and device of x. Differentiable in x and in the field's parameters.

    Raises:
        ShapeError: field does not map (B, n) to (B, n); names both shapes.
        UnsupportedError: The strategy cannot serve this field; says why.
        UsageError: No such strategy, or x is not floating-point.

    Cost: the strategy's products, see `jacstrat list strategies`.
    """
    return _apply("divergence", field, x, strategy, generator)


def laplacian(
    scalar: Function, x: Tensor, strategy: str | Strategy = DEFAULT, generator: torch.Generator | None = None
) -> Tensor:
    """Laplacian tr(d2u/dx2) of a row-wise scalar at each point.

    Args:
        scalar: Row-wise scalar function, (B, n) -> (B,).
        x: Points, (B, n) or (n,).
        strategy: A Strategy, or its spec such as "jvp:chunk_size=all"; "auto" chooses the fastest exact one at the
            first call and remembers it.
        generator: Source of random probes; only stochastic strategies draw.

    Returns:
        (B,), or () for a single point; dtype and device of x. Differentiable in x and in the scalar's parameters.

    Raises:
        ShapeError: scalar does not map (B, n) to (B,); names both shapes.
        UnsupportedError: The strategy cannot serve this scalar; says why.
        UsageError: No such strategy, or x is not floating-point.

    Cost: the strategy's products with the Hessian, see `jacstrat list strategies`.
    """
    return _apply("laplacian", scalar, x, strategy, generator)


def jacobian_diagonal(
    field: Function, x: Tensor, strategy: str | Strategy = DEFAULT, generator: torch.Generator | None = None
) -> Tensor:
    """Diagonal df_i/dx_i of the Jacobian of a row-wise field at each point.

    Args, errors and cost as for `divergence`.

    Returns:
        (B, n), or (n,) for a single point.
    """
    return _apply("jacobian_diagonal", field, x, strategy, generator)


def gradient(scalar: Function, x: Tensor) -> Tensor:
    """Gradient du/dx of a row-wise scalar at each point: (B, n), or (n,) for a single point.

    Raises:
        ShapeError: scalar does not map (B, n) to (B,); names both shapes.

    Cost: one evaluation and one VJP for the whole batch.
    """
    check_points(x)
    with outside_inference_mode(), plain_attention():
        return functional_gradient(checked(scalar, "laplacian"))(usable(x))


def curl(field: Function, x: Tensor) -> Tensor:
    """Curl of a row-wise field in three dimensions at each point: (B, 3), or (3,) for a single point.

    Raises:
        ShapeError: n is not 3, or field does not map (B, 3) to (B, 3).

    Cost: one evaluation and three batched VJPs.
    """
    check_points(x)
    if x.shape[-1] != 3:
        raise ShapeError(f"curl needs n = 3, got x of shape {tuple(x.shape)}")
    with outside_inference_mode(), plain_attention():
        x = usable(x)
        _, pull, *_ = torch.func.vjp(checked(field, "divergence"), x)
        J = torch.func.vmap(lambda v: pull(v.expand_as(x))[0])(torch.eye(3, dtype=x.dtype, device=x.device))
        return torch.stack((J[2, ..., 1] - J[1, ..., 2], J[0, ..., 2] - J[2, ..., 0], J[1, ..., 0] - J[0, ..., 1]), -1)


def derivatives_along(u: Callable[..., Tensor], x: Tensor, v: Tensor, order: int, args: tuple[Any, ...] = ()) -> Tensor:
    """u, v.grad u, v^T H v, ...: the derivatives d^k/ds^k u(x + s v) at s = 0 for k = 0 .. order.

    By Taylor arithmetic: the coefficients of every intermediate result in s, in one pass through u's operations, which
    are recorded once. They are held against nested reverse mode and against differences of each other, up to order 4,
    when they are first computed for a function; where a tape does not serve, nested reverse mode does the work.

    Args:
        u: Row-wise scalar function, (B, n) -> (B,), or several, (B, n) -> (B, m).
        x: Points, (B, n) or (n,).
        v: The direction, (n,), or that of each point, in the shape of x; of any length.
        order: The highest derivative, at least 1.
        args: Further arguments: u is called as u(x, *args).

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
    check_direction(x, v)
    return derivatives(u, x, v.unsqueeze(0), order, args)[0]


def _apply(
    operator: Operator, f: Function, x: Tensor, strategy: str | Strategy, generator: torch.Generator | None
) -> Tensor:
    return parse_strategy(strategy).apply(operator, f, x, generator)
