"""How many columns a weight's factors have: its rank, which rounding does not hide or add to."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from jacstrat import OPERATORS, parse_strategy
from jacstrat.core.operator import Operator
from jacstrat.strategies.reduction import reduction


def test_coordinates_are_as_many_as_the_weight_has_rank() -> None:
    n = 200
    x = torch.randn(3, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    s = torch.randn(n, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def u(x: Tensor) -> Tensor:
        return x.sin().sum(-1)

    def coordinates(operator: Operator, f: object) -> int:
        reduced, _ = reduction(operator, f, x, (), 1, needs_scalar=True)  # type: ignore[arg-type]
        return reduced.points(x, ())[0].shape[-1]

    for weight, rank in ((torch.outer(s[:, 0], s[:, 0]), 1), (s @ s.mT, 2), (torch.outer(s[:, 0], s[:, 1]), 2)):
        assert coordinates(Operator("laplacian", "scalar", 2, "trace", weight=weight), u) == rank
        prepared = parse_strategy("taylor").prepare(Operator("laplacian", "scalar", 2, "trace", weight=weight), u, x)
        assert prepared.contraction.passes is not None
        assert prepared.contraction.passes.jvp_products == rank
    assert (
        coordinates(Operator("divergence", "field", 1, "trace", weight=torch.outer(s[:, 0], s[:, 1])), torch.sin) == 1
    )
    assert coordinates(Operator("laplacian", "scalar", 2, "trace", (3, 7)), u) == 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("n", [16, 200])
def test_small_eigenvalues_are_no_rounding(dtype: torch.dtype, n: int) -> None:
    """Eigenvalues from 1 down to 1e-4, or 1e-2 in half precision: none may be dropped, and none is added."""
    Q = torch.linalg.qr(torch.randn(n, n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)).Q
    least = 1e-2 if dtype == torch.bfloat16 else 1e-4
    weight = (Q * torch.logspace(0, torch.log10(torch.tensor(least)).item(), n, dtype=torch.float64)) @ Q.mT
    x = torch.rand(2, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    operator = replace(OPERATORS["laplacian"], weight=weight)
    prepared = parse_strategy("vmap").prepare(operator, lambda x: x.square().sum(-1), x)
    assert prepared.contraction is not None
    assert prepared.reduction.points(x, ())[0].shape[-1] == n
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 5e-2}[dtype]
    torch.testing.assert_close(prepared(x).double(), 2 * weight.trace().expand(2), rtol=tolerance, atol=0)


def test_a_weight_in_single_precision_has_the_rank_of_its_factor() -> None:
    s = torch.randn(200, 1, generator=torch.Generator().manual_seed(0))
    x = torch.rand(2, 200)
    for weight in (s @ s.mT, (s.double() @ s.double().mT)):
        prepared = parse_strategy("vmap").prepare(
            replace(OPERATORS["laplacian"], weight=weight), lambda x: x.sin().sum(-1), x
        )
        assert prepared.reduction.points(x, ())[0].shape[-1] == 1
