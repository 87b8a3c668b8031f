"""Measure every way to contract a Jacobian in PyTorch: divergence, Laplacian, diagonal. Know your Jacobian.

Names are imported when first used (PEP 562), so that `import jacstrat` does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from jacstrat.core.version import read_version

if TYPE_CHECKING:
    from jacstrat.core.errors import JacstratError, ShapeError, UnsupportedError, UsageError, WrongResultError
    from jacstrat.core.operator import OPERATORS, Operator, parse_operator
    from jacstrat.harness.benchmark import benchmark
    from jacstrat.operators import (
        bilaplacian,
        curl,
        derivatives_along,
        divergence,
        gradient,
        hessian_diagonal,
        jacobian_diagonal,
        laplacian,
        value_and_divergence,
        value_gradient_laplacian,
    )
    from jacstrat.problems import PROBLEMS, Problem, problem
    from jacstrat.records import read_records
    from jacstrat.strategies import STRATEGIES, Strategy, parse_strategy
    from jacstrat.structure import Structure, detect_structure

__version__ = read_version()

_HOMES = {
    "JacstratError": "core.errors",
    "ShapeError": "core.errors",
    "UnsupportedError": "core.errors",
    "UsageError": "core.errors",
    "WrongResultError": "core.errors",
    "benchmark": "harness.benchmark",
    "bilaplacian": "operators",
    "hessian_diagonal": "operators",
    "value_and_divergence": "operators",
    "value_gradient_laplacian": "operators",
    "curl": "operators",
    "derivatives_along": "operators",
    "divergence": "operators",
    "gradient": "operators",
    "jacobian_diagonal": "operators",
    "laplacian": "operators",
    "OPERATORS": "core.operator",
    "Operator": "core.operator",
    "parse_operator": "core.operator",
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
    "OPERATORS",
    "PROBLEMS",
    "STRATEGIES",
    "JacstratError",
    "Operator",
    "Problem",
    "ShapeError",
    "Strategy",
    "Structure",
    "UnsupportedError",
    "UsageError",
    "WrongResultError",
    "__version__",
    "benchmark",
    "bilaplacian",
    "curl",
    "derivatives_along",
    "detect_structure",
    "divergence",
    "gradient",
    "hessian_diagonal",
    "jacobian_diagonal",
    "laplacian",
    "parse_operator",
    "parse_strategy",
    "problem",
    "read_records",
    "value_and_divergence",
    "value_gradient_laplacian",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jacstrat' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"jacstrat.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
