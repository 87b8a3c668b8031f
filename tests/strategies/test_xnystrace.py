"""XNysTrace as it is written, and where it sees that it does not apply."""

from __future__ import annotations

import math

import pytest
import torch

from jacstrat import UnsupportedError
from jacstrat.strategies.draws import draw
from tests.strategies.matrices import B, N, decaying, estimate, points, seeded, spread


@pytest.mark.parametrize("probes", [2, 6, 19])
def test_xnystrace_as_its_paper_has_it(probes: int) -> None:
    A, x = decaying(), points(B)
    got = estimate(f"xnystrace:probes={probes}", A, x)
    W = draw("normal", probes, x, seeded())
    for b in range(B):
        Omega = math.sqrt(N) * torch.linalg.qr(W[:, b].T)[0].T
        values = []
        for i in range(probes):
            others = torch.cat((Omega[:i], Omega[i + 1 :])).T
            Y = A @ others
            nystrom = Y @ torch.linalg.solve(others.T @ Y, Y.T)
            rest = Omega[i] @ (A - nystrom) @ Omega[i] * (N - probes + 1) / N
            values.append(torch.trace(nystrom) + rest)
        assert got.value[b].item() == pytest.approx((sum(values) / probes).item(), rel=1e-9)
        assert got.std_error[b].item() == pytest.approx(spread(values), rel=1e-4)


@pytest.mark.parametrize("sign", [-1, 1])
def test_xnystrace_refuses_where_it_sees_a_negative_eigenvalue(sign: int) -> None:
    A = sign * decaying() - (0.5 if sign > 0 else 0) * torch.eye(N, dtype=torch.float64)
    with pytest.raises(UnsupportedError, match="it is not so at some of the points; use xtrace, or negate"):
        estimate("xnystrace", A, points(2))
