"""Square roots of a weight of its own at each point, of about as few columns as its highest rank at any point."""

from __future__ import annotations

import torch
from torch import Tensor

from jacstrat.strategies.weights.factors import least_of, power_of_two, scales_of

# Coordinates from which on pivots are taken: below, eigenvalues take no longer.
PIVOTS = 16
# Of the largest number of a matrix, all of one size by then, in units of the rounding of its entries: what is left of
# it is that of these, and of the steps that took the rest.
LEFT_EPS = 4
# Rows and columns are brought to about one size so many times, beside the first by the diagonal.
SCALINGS = 2


def square_roots_of_rows(A: Tensor) -> tuple[Tensor, Tensor]:
    """s and t, (..., n, r), of the symmetric parts s s^T - t t^T of A, (..., n, n); t perhaps without columns.

    r is a power of 2, or n, so that ranks that change from call to call are few shapes; columns beyond the rank are 0.

    Cost: n r^2 operations a point where no part is indefinite and n is not small, by Cholesky's columns with pivots;
    else n^3 by eigenvalues.
    """
    with torch.no_grad():
        C = (A + A.mT).double() / 2
        scale = power_of_two(C.diagonal(dim1=-2, dim2=-1).abs())
        C = C / scale.unsqueeze(-1) / scale.unsqueeze(-2)
        eps = torch.finfo(A.dtype if A.dtype == torch.float64 else torch.float32).eps
        root = _columns(C, eps) if C.shape[-1] >= PIVOTS else None
        if root is not None:
            s, t = root, root[..., :0]
        else:
            more, _ = scales_of(C, SCALINGS)
            scale = scale * more
            s, t = _by_eigenvalues(C / more.unsqueeze(-1) / more.unsqueeze(-2), A.dtype)
        return (scale.unsqueeze(-1) * s).to(A.dtype), (scale.unsqueeze(-1) * t).to(A.dtype)


def _columns(C: Tensor, eps: float) -> Tensor | None:
    """L of C = L L^T, the largest pivots first, of about as many columns as any point needs; None where it has none."""
    *lead, n = C.shape[:-1]
    left = C.diagonal(dim1=-2, dim2=-1).clone()
    least = LEFT_EPS * eps * left.amax(-1, keepdim=True).clamp_min(0)
    L, r = torch.zeros_like(C), 0
    while r < n:
        pivot = left.argmax(-1, keepdim=True)
        size = left.gather(-1, pivot)
        is_left = size > least
        if not C.is_meta and not bool(is_left.any()):
            break
        at_pivot = pivot.unsqueeze(-1).expand(*lead, 1, n)
        row = (C.gather(-2, at_pivot) - L.gather(-2, at_pivot) @ L.mT).squeeze(-2)
        column = (row / size.clamp_min(0).sqrt()).where(is_left, 0)
        L[..., r] = column
        left = (left - column.square()).scatter(-1, pivot, 0)
        r += 1
    off = (C - L @ L.mT).abs().amax(-1)
    return L[..., : _rounded(r, n)] if C.is_meta or bool((off <= LEFT_EPS * least).all()) else None


def _by_eigenvalues(C: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    value, Q = torch.linalg.eigh(C)
    roots = Q * value.abs().sqrt().unsqueeze(-2)
    n = C.shape[-1]
    # Where a point has inf or nan the others are as they are, and it has all columns.
    least = least_of(value.abs().nan_to_num(0, 0), dtype)
    counts = [(~(sign * value <= least)).sum(-1) for sign in (1, -1)]
    # Without numbers: what they cost at most.
    plus, minus = (n, 0) if C.is_meta else (int(count.max()) if len(value) else 0 for count in counts)
    # By size, the positive are the last and the negative the first; of a point with fewer, the others are 0.
    s = roots.where(~(value <= 0).unsqueeze(-2), 0)[..., n - _rounded(plus, n) if plus or not minus else n :]
    return s, roots.where(~(value >= 0).unsqueeze(-2), 0)[..., : _rounded(minus, n) if minus else 0]


def _rounded(r: int, n: int) -> int:
    """The next power of 2, at least 1, at most n."""
    return min(n, 1 << (max(r, 1) - 1).bit_length())
