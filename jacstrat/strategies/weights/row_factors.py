"""Square roots of a weight of its own at each point, of as few columns as its highest rank at any point."""

from __future__ import annotations

import torch
from torch import Tensor

from jacstrat.strategies.weights.factors import least_of, scales_of

# Of the largest number of a matrix and per coordinate, in units of its rounding: what is left of it is that of its
# entries, all of one size by then, and of the steps that took the rest.
LEFT_EPS = 4


def square_roots_of_rows(A: Tensor) -> tuple[Tensor, Tensor]:
    """s and t, (..., n, r), of the symmetric parts s s^T - t t^T of A, (..., n, n); t perhaps without columns.

    Cost: n r^2 operations a point where no part is indefinite, by Cholesky's columns with pivots; else n^3 by
    eigenvalues.
    """
    C = (A + A.mT) / 2
    with torch.no_grad():
        scale = scales_of(C)[0].unsqueeze(-1)
        C = C / scale / scale.mT
        root = _columns(C)
        s, t = _by_eigenvalues(C) if root is None else (root, root[..., :0])
        return scale * s, scale * t


def _columns(C: Tensor) -> Tensor | None:
    """L of C = L L^T, the largest pivots first, and no more columns than any point needs; None where one has no L."""
    *lead, n = C.shape[:-1]
    left = C.diagonal(dim1=-2, dim2=-1).clone()
    least = LEFT_EPS * n * torch.finfo(C.dtype).eps * left.amax(-1, keepdim=True).clamp_min(0)
    L, r = torch.zeros_like(C), 0
    while r < n:
        pivot = left.argmax(-1, keepdim=True)
        size = left.gather(-1, pivot)
        is_left = size > least
        if not C.is_meta and not bool(is_left.any()):  # without numbers: what they cost at most
            break
        at_pivot = pivot.unsqueeze(-1).expand(*lead, 1, n)
        row = (C.gather(-2, at_pivot) - L.gather(-2, at_pivot) @ L.mT).squeeze(-2)
        column = (row / size.clamp_min(0).sqrt()).where(is_left, 0)
        L[..., r] = column
        left = (left - column.square()).scatter(-1, pivot, 0)
        r += 1
    off = (C - L @ L.mT).abs().amax(-1)
    return L[..., : max(r, 1)] if C.is_meta or bool((off <= least).all()) else None


def _by_eigenvalues(C: Tensor) -> tuple[Tensor, Tensor]:
    value, Q = torch.linalg.eigh(C)
    roots = Q * value.abs().sqrt().unsqueeze(-2)
    # Where a point has inf or nan the others are as they are, and it has all columns.
    least = least_of(value.abs().nan_to_num(0, 0), C.dtype)
    plus, minus = (int((~(sign * value <= least)).sum(-1).amax()) for sign in (1, -1))
    # By size, the positive are the last and the negative the first; of a point with fewer, the others are 0.
    s = roots.where(~(value <= 0).unsqueeze(-2), 0)[..., roots.shape[-1] - max(plus, 1 - minus) :]
    return s, roots.where(~(value >= 0).unsqueeze(-2), 0)[..., :minus]
