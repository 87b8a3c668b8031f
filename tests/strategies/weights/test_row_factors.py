"""Square roots of matrices of each point: right to their rounding, and of no more columns than the highest rank."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from jacstrat import OPERATORS, laplacian, parse_strategy
from jacstrat.strategies.weights.row_factors import square_roots_of_rows


def product(rows: int, n: int, r: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    sigma = torch.randn(rows, n, r, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (sigma @ sigma.mT).to(dtype)


def error(A: Tensor, s: Tensor, t: Tensor) -> float:
    """Of the factors, over the rounding of the largest number of each matrix."""
    off = ((A + A.mT) / 2 - (s @ s.mT - t @ t.mT)).abs().amax((-1, -2))
    scale = torch.finfo(A.dtype).eps * A.abs().amax((-1, -2)).clamp_min(torch.finfo(A.dtype).tiny)
    return float((off / scale).max())


@given(
    rows=st.integers(1, 5), n=st.integers(1, 12), plus=st.integers(0, 12), minus=st.integers(0, 3),
    seed=st.integers(0, 10**6), exponent=st.integers(-12, 12), dtype=st.sampled_from([torch.float32, torch.float64]),
)  # fmt: skip
def test_of_every_rank_sign_and_scale(
    rows: int, n: int, plus: int, minus: int, seed: int, exponent: int, dtype: torch.dtype
) -> None:
    scales = 10.0 ** (exponent * torch.arange(rows)[:, None, None] / rows)
    A = (scales * (product(rows, n, plus, seed) - product(rows, n, minus, seed + 1))).to(dtype)
    s, t = square_roots_of_rows(A)
    assert error(A, s, t) < 40 * n
    if minus == 0:
        assert s.shape[-1] <= min(2 * max(min(plus, n), 1), n)
        assert t.shape[-1] == 0
    assert t.shape[-1] <= 2 * min(minus, n)


def test_the_rank_is_the_highest_of_any_point() -> None:
    A = torch.cat((product(2, 9, 1, 0), 1e-9 * product(1, 9, 3, 1), torch.zeros(1, 9, 9, dtype=torch.float64)))
    s, t = square_roots_of_rows(A)
    assert (s.shape, t.shape) == ((4, 9, 4), (4, 9, 0))
    assert error(A, s, t) < 100


def test_of_no_points_and_of_none_but_zeros() -> None:
    for A in (torch.zeros(0, 4, 4), torch.zeros(3, 4, 4)):
        s, t = square_roots_of_rows(A)
        assert (s.shape, t.shape) == ((len(A), 4, 1), (len(A), 4, 0))
        assert not s.any()


def test_a_negative_one_has_no_positive_part() -> None:
    A = -product(3, 5, 2, 0)
    s, t = square_roots_of_rows(A)
    assert (s.shape, t.shape) == ((3, 5, 0), (3, 5, 2))
    assert error(A, s, t) < 100


@pytest.mark.parametrize("of_the_point", [True, False])
def test_a_noise_at_each_point_is_a_tangent(of_the_point: bool) -> None:
    x = torch.rand(4, 30, dtype=torch.float64)

    def u(x: Tensor) -> Tensor:
        return x.sin().prod(-1)

    def noise(x: Tensor) -> Tensor:
        sigma = (x + 1).unsqueeze(-1)
        return sigma @ sigma.mT

    weight = noise if of_the_point else noise(x)
    operator = replace(OPERATORS["laplacian"], weight=weight)
    with torch.no_grad():
        prepared = parse_strategy("taylor").prepare(operator, u, x)
    assert prepared.reduction.points(x, ())[0].shape == (4, 1)
    torch.testing.assert_close(prepared(x), laplacian(u, x, "identity", weight=weight))


@pytest.mark.parametrize("n", [6, 64, 128])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_what_is_small_is_no_rounding(dtype: torch.dtype, n: int) -> None:
    A = torch.eye(n).expand(3, n, n).clone()
    A[:, 0, 1] = A[:, 1, 0] = 0.5
    total = square_roots_of_rows(A.to(dtype))[0].double().square().sum()
    torch.testing.assert_close(total, torch.tensor(3.0 * n).double(), rtol=2e-3, atol=0)
    small = (torch.ones(n, n) + 5e-5 * torch.eye(n)).expand(3, n, n).double()
    s, t = square_roots_of_rows(small.float())
    centred = torch.eye(n).double() - 1 / n
    found = ((s @ s.mT - t @ t.mT).double() * centred).sum((-1, -2))
    torch.testing.assert_close(found, torch.full((3,), 5e-5 * (n - 1)).double(), rtol=2e-2, atol=0)
