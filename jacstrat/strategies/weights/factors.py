"""A constant weight as products of few columns, by its singular values or its eigenvalues."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from jacstrat.strategies.weights.numbers import WeightNumbers, near
from jacstrat.strategies.weights.sparse import SparseRows, sparse_root, sparse_rows

# Of the norm of a matrix, in units of its rounding: smaller singular values are those of the rounding of its entries,
# which is off by half a unit of it together.
RANK_EPS = 4
# Rows and columns are brought to a size of about 1 so many times, each of which halves what is off in powers of 2.
SCALINGS = 8

T = TypeVar("T")


class WeightFactors(NamedTuple):
    """Constants of a weight.

    Fields:
        left, right: U and V of U V^T, (n, r), or s and t of s s^T - t t^T, t perhaps without columns.
    """

    left: Tensor
    right: Tensor


def low_rank(A: Tensor, weight: Any, S: tuple[int, ...] | None, x: Tensor) -> WeightFactors | None:
    """U and V of fewer columns than A; None where it has none."""

    def make() -> WeightFactors | None:
        with torch.no_grad():
            host = A.detach().double().cpu()
            rows, columns = scales_of(host)
            U, s, Vh = torch.linalg.svd(host / rows.unsqueeze(-1) / columns, full_matrices=False)
            r = max(int((s > least_of(s, A.dtype)).sum()), 1)
            if r == len(A):
                return None
            return WeightFactors(near(rows.unsqueeze(-1) * U[:, :r] * s[:r], x), near((Vh[:r] * columns).mT, x))

    return _cached(weight, ("low", x.dtype, x.device, S), make)


def square_roots(A: Tensor, weight: Any, S: tuple[int, ...] | None, x: Tensor) -> WeightFactors:
    """s and t of the symmetric part of A."""

    def make() -> WeightFactors:
        with torch.no_grad():
            C = (A + A.mT).detach().double().cpu() / 2
            scale, _ = scales_of(C)
            value, Q = torch.linalg.eigh(C / scale.unsqueeze(-1) / scale)
            least = least_of(value.abs(), A.dtype)
            roots = scale.unsqueeze(-1) * Q * value.abs().sqrt()
            plus, minus = (near(roots[:, sign * value > least], x) for sign in (1, -1))
            if not plus.shape[1] and not minus.shape[1]:
                plus = near(0 * Q[:, :1], x)
            return WeightFactors(plus, minus)

    factors = _cached(weight, ("definite", x.dtype, x.device, S), make)
    assert factors is not None
    return factors


def scale_of(d: Tensor, weight: Any, S: tuple[int, ...] | None, x: Tensor) -> Tensor:
    """The roots of a positive diagonal, (n,)."""

    return _cached(weight, ("scale", x.dtype, x.device, S), lambda: near(d.detach().cpu().double().sqrt(), x))


def roots_of_diagonal(d: Tensor, weight: Any, S: tuple[int, ...] | None, x: Tensor) -> WeightFactors:
    """s and t of a diagonal, (n,), a column for each of its numbers but 0: however small, none is rounding."""

    def make() -> WeightFactors:
        with torch.no_grad():
            value = d.detach().cpu().double()
            roots = torch.diag(value.abs().sqrt())
            plus, minus = (near(roots[:, sign * value > 0], x) for sign in (1, -1))
            return WeightFactors(plus if plus.shape[1] or minus.shape[1] else near(0 * roots[:, :1], x), minus)

    factors = _cached(weight, ("diagonal", x.dtype, x.device, S), make)
    assert factors is not None
    return factors


def scales_of(A: Tensor, times: int = SCALINGS) -> tuple[Tensor, Tensor]:
    """Of rows and of columns, (..., n) each and powers of 2: without these the largest number of each is about 1.

    What is small beside the rest of a matrix is no rounding where its coordinates have other units. Of a symmetric
    matrix both are the same, and what signs its eigenvalues have stays as it is.

    Source: Ruiz 2001, A scaling algorithm to equilibrate both rows and columns norms in matrices.
    """
    rows, columns = torch.ones_like(A[..., 0]), torch.ones_like(A[..., 0, :])
    for _ in range(times):
        size = (A / rows.unsqueeze(-1) / columns.unsqueeze(-2)).abs()
        by_rows, by_columns = (power_of_two(size.amax(axis)) for axis in (-1, -2))
        rows, columns = rows * by_rows, columns * by_columns
    return rows, columns


def power_of_two(size: Tensor) -> Tensor:
    """The power of 2 next to the root; 1 of nothing, of inf and of nan."""
    return torch.exp2(torch.where((size > 0) & size.isfinite(), size, 1).log2().div(2).round())


def least_of(sizes: Tensor, dtype: torch.dtype) -> Tensor:
    """Singular values, or sizes of eigenvalues, (..., n), up to this, (..., 1), are none, of numbers in this dtype.

    Half precision is too coarse to tell rounding from a small eigenvalue, and is taken for single.
    """
    eps = torch.finfo(dtype if dtype in (torch.float32, torch.float64) else torch.float32).eps
    return RANK_EPS * eps * sizes.norm(dim=-1, keepdim=True)


# Factors of a weight, by the tensor that the caller has: found again, they are the same constants of f to a trace.
_FACTORS: Any = WeakIdKeyDictionary()


def sparse(A: Tensor, weight: Any, S: tuple[int, ...] | None, x: Tensor, second: bool) -> SparseRows | None:
    """A, or for a Hessian a factor of it, by its entries, where these are few."""

    def make() -> SparseRows | None:
        with torch.no_grad():
            host = A.detach().cpu().double()
            return sparse_root(host, x) if second else sparse_rows(host, x)

    return _cached(weight, ("sparse", x.dtype, x.device, S, second), make)


def _cached(weight: Any, kind: tuple[Any, ...], make: Callable[[], T]) -> T:
    if not isinstance(weight, Tensor):
        return make()
    by_kind = _FACTORS.setdefault(weight, {})
    numbers, factors = by_kind.get(kind, (None, None))
    if numbers is None or not numbers.are_those_of(weight):
        factors = make()
        by_kind[kind] = WeightNumbers.of(weight), factors
    return factors
