"""Hutchinson's estimator as it is written, its standard error, and probes that stay."""

from __future__ import annotations

import math

import pytest
import torch

from jacstrat import ShapeError, parse_strategy
from jacstrat.strategies.draws import draw
from tests.strategies.matrices import B, N, estimate, matrix, points, seeded, spread


@pytest.mark.parametrize("distribution", ["rademacher", "normal", "sphere"])
def test_hutchinson_as_its_paper_has_it(distribution) -> None:
    A, x = matrix(), points(B)
    got = estimate(f"hutchinson:probes=5,distribution={distribution},product=forward", A, x)
    V = draw(distribution, 5, x, seeded())
    for b in range(B):
        forms = [v @ A @ v for v in V[:, b]]
        assert got.value[b].item() == pytest.approx(sum(forms).item() / 5, rel=1e-12)
        assert got.std_error[b].item() == pytest.approx(spread(forms), rel=1e-12)


@pytest.mark.parametrize("distribution", ["rademacher", "normal"])
def test_the_diagonal_of_bekas_kokiopoulou_and_saad(distribution) -> None:
    A, x = matrix(), points(B)
    strategy = parse_strategy(f"hutchinson:probes=5,distribution={distribution},product=forward")
    prepared = strategy.prepare("jacobian_diagonal", lambda x: x @ A.T, x, seeded())
    got = prepared.estimate(x)
    V = draw(distribution, 5, x, seeded())
    for b in range(B):
        for i in range(N):
            products = [(v[i] * (A[i] @ v)).item() for v in V[:, b]]
            squares = [v[i].item() ** 2 for v in V[:, b]]
            value = sum(products) / sum(squares)
            assert got.value[b, i].item() == pytest.approx(value, rel=1e-10)
            residuals = [p - value * s for p, s in zip(products, squares, strict=True)]
            error = math.sqrt(5 / 4 * sum(r * r for r in residuals)) / sum(squares)
            assert got.std_error[b, i].item() == pytest.approx(error, rel=1e-8)
    torch.testing.assert_close(
        strategy.prepare("jacobian_diagonal", lambda x: x @ A.T, x, seeded())(x), got.value, rtol=1e-13, atol=0
    )


@pytest.mark.parametrize("distribution", ["rademacher", "normal", "sphere"])
def test_the_diagonal_is_right_on_average_and_so_is_its_standard_error(distribution) -> None:
    A, x = matrix(6), points(4000, 6)
    strategy = parse_strategy(f"hutchinson:probes=16,distribution={distribution}")
    value, std_error = strategy.prepare("jacobian_diagonal", lambda x: x @ A.T, x, seeded()).estimate(x)
    z = (value.mean(0) - A.diagonal()) / (value.std(0) / math.sqrt(4000))
    assert z.abs().max().item() < 4.5
    ratio = value.std(0) / std_error.square().mean(0).sqrt()
    assert ratio.sub(1).abs().max().item() < 0.12


@pytest.mark.parametrize("n", [1, 2, 3, 17])
def test_rademacher_probes_are_exact_where_j_is_diagonal(n: int) -> None:
    A = torch.diag(torch.linspace(-1, 2, n, dtype=torch.float64))
    value, std_error = estimate("hutchinson:probes=3", A, points(5, n))
    torch.testing.assert_close(value, A.trace().expand(5), rtol=1e-14, atol=1e-14)
    assert std_error.max().item() < 1e-15


def test_probes_are_drawn_once_or_at_each_call() -> None:
    A, x = matrix(), points(2)
    for fixed in (True, False):
        strategy = parse_strategy(f"hutchinson:probes=2,fixed={str(fixed).lower()}")
        prepared = strategy.prepare("divergence", lambda x: x @ A.T, x, seeded())
        assert torch.equal(prepared(x), prepared(x)) is fixed


def test_another_number_of_points_is_refused() -> None:
    prepared = parse_strategy("hutchinson:fixed=true").prepare("divergence", torch.sin, points(2), seeded())
    with pytest.raises(
        ShapeError, match=r"^fixed probes were drawn for x of shape \(2, 20\), got \(3, 20\); prepare again$"
    ):
        prepared(points(3))
