"""Inverses, linear systems, log-determinants, Cholesky factors: each equation solved for one coefficient at a time.

A determinant has no rule: by an inverse it would be wrong near a singular matrix, where it is smooth.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jacstrat.series.polynomials import derivative, integral, times
from jacstrat.series.rule import SeriesRule, one_argument
from jacstrat.series.series import Polynomial, TaylorSeries, polynomial_of, value_of
from jacstrat.taylor.rule import NotCovered, TaylorCall

aten = torch.ops.aten


def _inverse_of(A: Polynomial, K: int) -> Polynomial:
    """Y A = I: Y_k = -(sum_(j>=1) Y_(k-j) A_j) Y_0."""
    Y = [torch.linalg.inv(A[0])]
    for k in range(1, K + 1):
        total = sum(Y[k - j] @ A[j] for j in range(1, min(k, len(A) - 1) + 1))
        Y.append(-total @ Y[0])
    return Y


def _inverse(call: TaylorCall, K: int) -> Any:
    v = one_argument(call).full()
    y, *rest = call.op(v.value, *call.args[1:], **call.kwargs)
    return (TaylorSeries.of(y, _inverse_of(v.polynomial(v.value.dim()), K)), *rest)


def _solution(call: TaylorCall, K: int) -> Any:
    """A X = B, or X A = B: A_0 X_k = B_k - sum_(j>=1) A_j X_(k-j)."""
    A, B, *others = call.args
    left = call.kwargs.get("left", others[0] if others else True)
    y, *rest = call.op(value_of(A), value_of(B), *others, **call.kwargs)
    if any(call.used[1:]) or value_of(B).dim() != value_of(A).dim() or not left:
        raise NotCovered
    a, b = (polynomial_of(one.full() if isinstance(one, TaylorSeries) else one, y.dim()) for one in (A, B))
    X = [y]
    for k in range(1, K + 1):
        parts = [b[k]] if k < len(b) else []
        parts += [-(a[j] @ X[k - j]) for j in range(1, min(k, len(a) - 1) + 1)]
        if not parts:
            break
        X.append(torch.linalg.solve(a[0], sum(parts[1:], parts[0])))
    return (TaylorSeries.of(y, X), *rest)


def _log_determinant(call: TaylorCall, K: int) -> Any:
    # (log |det A|)' = tr(A^-1 A').
    v = one_argument(call).full()
    sign, y, *rest = call.op(v.value)
    if any(call.used[2:]):
        raise NotCovered
    z = v.polynomial(v.value.dim())
    slope = times(_inverse_of(z, K - 1), derivative(z), K - 1, torch.matmul)
    traces = [part.diagonal(dim1=-2, dim2=-1).sum(-1) for part in slope]
    return (sign, TaylorSeries.of(y, integral(y, traces)), *rest)


def _cholesky(call: TaylorCall, K: int) -> Any:
    # L L^T = A: L_k = L_0 F(L_0^-1 (A_k - sum_(0<j<k) L_j L_(k-j)^T) L_0^-T), F the lower half with half the diagonal.
    v = one_argument(call).full()
    y, *rest = call.op(v.value, *call.args[1:], **call.kwargs)
    if (call.args[1] if len(call.args) > 1 else call.kwargs.get("upper", False)) or any(call.used[1:]):
        raise NotCovered
    z, L = v.polynomial(v.value.dim()), [y]
    inverse = torch.linalg.inv(y)
    for k in range(1, K + 1):
        rest_k = -sum(L[j] @ L[k - j].mT for j in range(1, k)) if k > 1 else 0
        if k < len(z):
            rest_k = rest_k + (z[k] + z[k].mT) / 2
        half = (inverse @ rest_k @ inverse.mT).tril()
        L.append(y @ (half - torch.diag_embed(half.diagonal(dim1=-2, dim2=-1)) / 2))
    return (TaylorSeries.of(y, L), *rest)


def _cross(call: TaylorCall, K: int) -> Any:
    a, b = call.args
    axis = call.kwargs.get("dim", -1)
    y = call.op(value_of(a), value_of(b), dim=axis)
    axis = axis - y.dim() if axis >= 0 else axis
    p, q = (polynomial_of(one.full() if isinstance(one, TaylorSeries) else one, y.dim()) for one in (a, b))

    def multiply(one: Tensor, two: Tensor) -> Tensor:
        return torch.linalg.cross(*torch.broadcast_tensors(one, two), dim=axis)

    return TaylorSeries.of(y, times(p, q, K, multiply, y))


MATRICES: dict[Any, SeriesRule] = {
    aten.linalg_inv_ex.default: _inverse,
    aten._linalg_solve_ex.default: _solution,
    aten._linalg_slogdet.default: _log_determinant,
    aten.linalg_cholesky_ex.default: _cholesky,
    aten.linalg_cross.default: _cross,
}
