"""A function at hand, and what `benchmark` gives for it."""

from __future__ import annotations

import torch

import jacstrat
from jacstrat.harness.benchmark import Benchmark

BRIEF_S = 1e-4
A = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 10.0]], dtype=torch.float64)


def coupled(x: torch.Tensor) -> torch.Tensor:
    return (x @ A.T) * x


def by_strategy(result: Benchmark) -> dict[str, jacstrat.record.Record]:
    return {record.strategy: record for record in result.records}
