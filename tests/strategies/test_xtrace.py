"""XTrace as it is written."""

from __future__ import annotations

import math

import pytest
import torch

from jacstrat.strategies.draws import draw
from tests.strategies.matrices import B, N, decaying, estimate, matrix, points, seeded, spread


@pytest.mark.parametrize("probes", [4, 11, 18])
@pytest.mark.parametrize("make", [matrix, decaying])
def test_xtrace_as_its_paper_has_it(probes: int, make) -> None:
    A, x = make(), points(B)
    got = estimate(f"xtrace:probes={probes},product=forward", A, x)
    k = probes // 2
    W = draw("normal", k, x, seeded())
    for b in range(B):
        values = []
        for i in range(k):
            others = torch.cat((W[:i, b], W[i + 1 :, b])).T
            Q, _ = torch.linalg.qr(A @ others)
            P = torch.eye(N, dtype=torch.float64) - Q @ Q.T
            w = P @ W[i, b]
            w = w * math.sqrt(N - k + 1) / w.norm()
            values.append(torch.trace(Q.T @ A @ Q) + w @ A @ w)
        assert got.value[b].item() == pytest.approx((sum(values) / k).item(), rel=1e-9)
        assert got.std_error[b].item() == pytest.approx(spread(values), rel=1e-8)
