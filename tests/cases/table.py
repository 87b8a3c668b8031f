"""The table of all cases: what the modules beside this one have entered."""

from __future__ import annotations

from tests.cases import (
    attention,
    branches,
    compiled,
    complexes,
    derivatives_inside,
    edges,
    factorisations,
    linear_algebra,
    norms,
    pools,
    recurrent,
    scatter,
    special,
    writes,
)
from tests.cases.case import CASES

__all__ = [
    "CASES",
    "attention",
    "branches",
    "compiled",
    "complexes",
    "derivatives_inside",
    "edges",
    "factorisations",
    "linear_algebra",
    "norms",
    "pools",
    "recurrent",
    "scatter",
    "special",
    "writes",
]
