"""A scalar and a field in closed form, and the exact strategies that serve them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat import (
    Operator,
    parse_operator,
    parse_strategy,
)
from jacstrat.strategies import default_strategies

B, N = 5, 4
SPECS = [name for name in default_strategies() if not parse_strategy(name).stochastic and name != "ones"]
SPECS += [
    "vmap:chunk_size=3",
    "jvp:chunk_size=all",
    "coloring:product=forward",
    "taylor:tile=2",
    "taylor:compress=false",
]
each = pytest.mark.parametrize("spec", SPECS)
a = torch.tensor([0.3, -0.2, 0.5, 0.1], dtype=torch.float64)
M = torch.tensor([[1.0, 0.5, 0.0, 0.2], [0.0, 2.0, -0.3, 0.1], [0.4, 0.0, 1.5, 0.0], [0.1, 0.3, 0.0, -1.0]]).double()


def points(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(B, N, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


def wave(x: Tensor) -> Tensor:
    """exp(a.x): lap = |a|^2 u, H_ii = a_i^2 u, lap lap = |a|^4 u."""
    return (x @ a.to(x.dtype)).exp()


def field(x: Tensor) -> Tensor:
    """sin(M x): J = diag(cos(M x)) M."""
    return (x @ M.to(x.dtype).mT).sin()


def serving(spec: str, operator: str | Operator) -> str:
    if (reason := parse_strategy(spec).refuse(parse_operator(operator))) is not None:
        pytest.skip(reason)
    return spec


def near(found: Tensor, expected: Tensor) -> None:
    tolerance = 1e-4 if found.dtype in (torch.float32, torch.complex64) else 1e-10
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=tolerance, atol=tolerance)
