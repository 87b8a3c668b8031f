"""Hutch++ as it is written."""

from __future__ import annotations

import pytest
import torch

from jacstrat.strategies.draws import draw
from tests.strategies.matrices import B, N, estimate, matrix, points, seeded, spread


@pytest.mark.parametrize("probes", [3, 9, 11])
def test_hutchpp_as_its_paper_has_it(probes: int) -> None:
    A, x = matrix(), points(B)
    got = estimate(f"hutch++:probes={probes},product=forward", A, x)
    k = probes // 3
    V = draw("rademacher", probes - k, x, seeded())
    for b in range(B):
        S, G = V[:k, b].T, V[k:, b].T
        Q, _ = torch.linalg.qr(A @ S)
        P = torch.eye(N, dtype=torch.float64) - Q @ Q.T
        rest = [g @ P @ A @ P @ g for g in G.T]
        value = torch.trace(Q.T @ A @ Q) + sum(rest) / len(rest)
        assert got.value[b].item() == pytest.approx(value.item(), rel=1e-11)
        if len(rest) > 1:
            assert got.std_error[b].item() == pytest.approx(spread(rest), rel=1e-10)
        else:
            assert got.std_error is None
