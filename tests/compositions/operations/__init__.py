"""The operations that programs are made of, by their kind; `OPERATIONS` is the table."""

from tests.compositions.operations import (
    calculus,
    complexes,
    elementwise,
    indexing,
    inplace,
    layers,
    matrices,
    pairs,
    reductions,
    views,
)
from tests.compositions.operations.table import MOST, OPERATIONS, Draw, Event, Operation, numel

__all__ = [
    "MOST",
    "OPERATIONS",
    "Draw",
    "Event",
    "Operation",
    "calculus",
    "complexes",
    "elementwise",
    "indexing",
    "inplace",
    "layers",
    "matrices",
    "numel",
    "pairs",
    "reductions",
    "views",
]
