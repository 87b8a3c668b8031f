"""tr(A J) and tr(A H) as plain operators, by changes of variables around f.

A constant A of rank r is a sum of r products, and costs r coordinates in place of n:

    tr(U V^T J) = tr(V^T J U), the divergence at z = 0 of z -> V^T f(x + U z)
    tr(s s^T H) = tr(s^T H s), the Laplacian at z = 0 of z -> u(x + s z)

An indefinite A is s s^T - t t^T: the Laplacian of z, y -> u(x + s z) - u(x + t y). Of H the symmetric part of A counts
alone. What changes from point to point, or is differentiated itself, is factorised for `taylor` and its like alone:
tr(A J) is the divergence of A f, A held, and tr(A H) that of A grad u.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jacstrat.core.errors import ShapeError, UsageError
from jacstrat.core.operator import OPERATORS, Operator, is_array, is_weight_function
from jacstrat.strategies.points import outside_transforms
from jacstrat.strategies.weights.constant import (
    AlongFactors,
    BetweenFactors,
    ConstantWeight,
    MixedField,
    ScaledField,
    ScaledPoints,
    SparseField,
    SparsePoints,
)
from jacstrat.strategies.weights.factors import low_rank, roots_of_diagonal, scale_of, sparse, square_roots
from jacstrat.strategies.weights.numbers import WeightNumbers, block, near, real_numbers
from jacstrat.strategies.weights.rows import AlongRowFactors, RowWeight, WeightedRows
from jacstrat.trace.arguments import Args
from jacstrat.trace.tracers import is_wrapped


def weighing(
    operator: Operator, x: Tensor, S: tuple[int, ...] | None, n: int, needs_scalar: bool
) -> tuple[Operator, Any]:
    """The plain operator that a weighted one is reduced to, and the stage that does it.

    Args:
        operator: With a weight, over all coordinates of x.
        x: Points.
        S: Coordinates that x has of those that the weight was given for, n in all; None for all.
        needs_scalar: No field of the gradient will do.

    Raises:
        ShapeError: The weight has a shape that fits no points like x; names the shapes.
    """
    plain, second = operator.plain, operator.is_second
    weight = operator.weight
    if isinstance(weight, str):
        raise UsageError(f"weight={weight} is that of a problem, and there is none here; give a tensor or a function")
    if is_weight_function(weight):
        return _by_rows(plain, weight, S, needs_scalar)
    # Where the caller has it, since there it has numbers, whatever x has.
    with outside_transforms():
        A = real_numbers(weight, x.is_meta)
        A = A if A.is_floating_point() else A.to(x.dtype)
    B = len(x) if x.dim() == 2 else None
    if A.shape not in ((n,), (n, n)) and (B is None or A.shape not in ((B, n), (B, n, n))):
        rows = "" if B is None else f", ({B}, {n}) or ({B}, {n}, {n})"
        raise ShapeError(
            f"weight must have shape ({n},), ({n}, {n}){rows} for x of shape {(n,) if B is None else (B, n)}, "
            f"got {tuple(A.shape)}"
        )
    # A wrapped one is differentiated, or one of several.
    if A.shape not in ((n,), (n, n)) or A.requires_grad or A.is_meta or is_wrapped(A):
        return _by_rows(plain, weight, S, needs_scalar)
    with outside_transforms():
        A = block(A, S, A.dim() == 1)
        if not bool(A.isfinite().all()):
            raise UsageError("weight must have finite numbers, and has inf or nan")
        return plain, _constant(A, weight, S, x, second)


def is_differentiated(weight: Any, x: Tensor, args: Args, S: tuple[int, ...] | None) -> bool:
    """Whether gradients go to the weight, as one that is trained has them."""
    if not torch.is_grad_enabled() or isinstance(weight, str | tuple):
        return False
    if is_array(weight):
        return isinstance(weight, Tensor) and weight.requires_grad
    return RowWeight(weight, S).at(x, args).requires_grad


def _constant(A: Tensor, weight: Any, S: tuple[int, ...] | None, x: Tensor, second: bool) -> ConstantWeight:
    """The stage of a weight that is the same for all points, A of the coordinates S of it."""
    constant = weight, WeightNumbers.of(weight), x.dtype, x.device
    if A.dim() == 2 and torch.equal(A, torch.diag(A.diagonal())):
        A = A.diagonal()
    if A.dim() == 1 and not second:
        return ScaledField(*constant, near(A, x))
    if A.dim() == 1 and bool((A > 0).all()):
        return ScaledPoints(*constant, scale_of(A, weight, S, x))
    if A.dim() == 2 and second and (L := sparse(A, weight, S, x, second)) is not None:
        return SparsePoints(*constant, L)
    if second:
        return AlongFactors(*constant, *(roots_of_diagonal if A.dim() == 1 else square_roots)(A, weight, S, x))
    if (low := low_rank(A, weight, S, x)) is not None:
        return BetweenFactors(*constant, *low)
    few = sparse(A, weight, S, x, second)
    return MixedField(*constant, near(A, x)) if few is None else SparseField(*constant, few)


def _by_rows(plain: Operator, weight: Any, S: tuple[int, ...] | None, needs_scalar: bool) -> tuple[Operator, Any]:
    """A weight of its own at each point: of a Hessian by the divergence of A grad u."""
    if not plain.is_second:
        return plain, WeightedRows(weight, S, is_gradient=False)
    if needs_scalar:
        return plain, AlongRowFactors(weight, S)
    return OPERATORS["divergence"], WeightedRows(weight, S, is_gradient=True)
