"""Measure every way to contract a Jacobian in PyTorch: divergence, Laplacian, diagonal. Know your Jacobian.

Names are imported when first used (PEP 562), so that `import jacstrat` does not import torch.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jacstrat.errors import JacstratError, ShapeError, UnsupportedError, UsageError, WrongResultError
    from jacstrat.harness.benchmark import benchmark
    from jacstrat.operators import curl, derivatives_along, divergence, gradient, jacobian_diagonal, laplacian
    from jacstrat.problems import PROBLEMS, Problem, problem
    from jacstrat.records import read_records
    from jacstrat.strategies import STRATEGIES, Strategy, parse_strategy
    from jacstrat.structure import Structure, detect_structure

__version__ = version("jacstrat")

_HOMES = {
    "JacstratError": "errors",
    "ShapeError": "errors",
    "UnsupportedError": "errors",
    "UsageError": "errors",
    "WrongResultError": "errors",
    "benchmark": "harness.benchmark",
    "curl": "operators",
    "derivatives_along": "operators",
    "divergence": "operators",
    "gradient": "operators",
    "jacobian_diagonal": "operators",
    "laplacian": "operators",
    "PROBLEMS": "problems",
    "Problem": "problems",
    "problem": "problems",
    "read_records": "records",
    "STRATEGIES": "strategies",
    "Strategy": "strategies",
    "parse_strategy": "strategies",
    "Structure": "structure",
    "detect_structure": "structure",
}

__all__ = [
    "PROBLEMS",
    "STRATEGIES",
    "JacstratError",
    "Problem",
    "ShapeError",
    "Strategy",
    "Structure",
    "UnsupportedError",
    "UsageError",
    "WrongResultError",
    "__version__",
    "benchmark",
    "curl",
    "derivatives_along",
    "detect_structure",
    "divergence",
    "gradient",
    "jacobian_diagonal",
    "laplacian",
    "parse_strategy",
    "problem",
    "read_records",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jacstrat' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"jacstrat.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
