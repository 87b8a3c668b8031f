"""Divergence, Laplacian, diagonal, gradient and curl of row-wise functions: what a user calls first."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from jacstrat.errors import ShapeError
from jacstrat.strategies import Operator, Strategy, parse_strategy
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


def _apply(
    operator: Operator, f: Function, x: Tensor, strategy: str | Strategy, generator: torch.Generator | None
) -> Tensor:
    return parse_strategy(strategy).apply(operator, f, x, generator)
