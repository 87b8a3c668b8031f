"""Linear fields of a known matrix A, and estimates of its trace.

F(x) = A x, so that J is A at every point; a batch of points is then a batch of independent draws. Forward products:
what is multiplied is J, not its transpose.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jacstrat import parse_strategy
from jacstrat.core.operator import OPERATORS
from jacstrat.strategies import Estimate

N = 20
B = 3


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def matrix(n: int = N, seed: int = 0) -> Tensor:
    return torch.randn(n, n, dtype=torch.float64, generator=seeded(seed))


def spectrum(values: Tensor, seed: int = 3) -> Tensor:
    """Symmetric, with these eigenvalues."""
    U, _ = torch.linalg.qr(matrix(len(values), seed))
    return (U * values) @ U.T


def decaying(n: int = N) -> Tensor:
    return spectrum(1 / torch.arange(1, n + 1, dtype=torch.float64) ** 2)


def points(batch: int, n: int = N) -> Tensor:
    return torch.zeros(batch, n, dtype=torch.float64)


def estimate(spec: str, A: Tensor, x: Tensor, seed: int = 0) -> Estimate:
    """Of tr A, drawn from a seeded generator: as a divergence, or where it must be as a Laplacian."""
    strategy = parse_strategy(spec)
    if strategy.refuse(OPERATORS["divergence"]) is None:
        return strategy.prepare("divergence", lambda x: x @ A.T, x, seeded(seed)).estimate(x)
    return strategy.prepare("laplacian", lambda x: 0.5 * ((x @ A.T) * x).sum(-1), x, seeded(seed)).estimate(x)


def spread(values: list[Tensor]) -> Tensor:
    """Standard error of a mean, as a text-book has it."""
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))
