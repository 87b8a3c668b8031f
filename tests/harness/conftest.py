"""Cells and runs made in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from jacstrat import benchmark
from jacstrat.harness.benchmark import Benchmark
from jacstrat.harness.dispatch.child import ChildLimits
from jacstrat.harness.plan.cases import Cell
from jacstrat.measure.sampling import Settings
from tests.harness.benchmarked import BRIEF_S, coupled

FUNCTIONS = Path(__file__).with_name("functions.py")
QUICK = Settings(limit_s=0.02, warmup_s=0.01, block_s=1e-4, min_samples=6)
LIMITS = ChildLimits(timeout_s=20, memory_bytes=2**32)


def mine(attribute: str) -> str:
    """The spec of a function in functions.py."""
    return f"{FUNCTIONS}:{attribute}"


@pytest.fixture
def cell() -> Callable[..., Cell]:
    """Makes a cell; anything not given is the smallest that works."""

    def make(problem: str, *strategies: str, **values) -> Cell:
        return Cell(
            problem,
            values.pop("operator", "divergence"),
            n=values.pop("n", 3),
            batch=values.pop("batch", 2),
            dtype=values.pop("dtype", "float64"),
            device=values.pop("device", "cpu"),
            workload=values.pop("workload", "evaluate"),
            threads=values.pop("threads", torch.get_num_threads()),
            seed=values.pop("seed", 0),
            strategies=strategies or ("identity", "vmap"),
            **values,
        )

    return make


@pytest.fixture(scope="module")
def result() -> Benchmark:
    """One result that most tests look at: two that are right, one that is wrong, one that cannot."""
    x = torch.ones(1, 3, dtype=torch.float64)
    return benchmark(coupled, x, strategies=["identity", "ones", "vmap", "hessian"], sample_s=BRIEF_S)
