"""The true pattern, from dense derivatives at several points, and what must hold of one that was found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from jacstrat import Structure, detect_structure


def points(n: int, count: int = 3) -> Tensor:
    """Random points of either sign, float64, (count, n)."""
    generator = torch.Generator().manual_seed(n)
    return 2 * torch.rand(count, n, dtype=torch.float64, generator=generator) - 1


def true_pattern(f: Callable[[Tensor], Tensor], x: Tensor, operator: str = "divergence") -> np.ndarray:
    """Entries of J, or of the Hessian, that are not zero at one of the points: f sees one-row batches."""
    field = torch.func.grad(lambda x: f(x).sum()) if operator == "laplacian" else f
    J = torch.stack([torch.func.jacrev(lambda x: field(x[None])[0])(point) for point in x])
    # 0 / 0 spreads to entries that nothing depends on.
    return ((J != 0) & ~J.isnan()).any(0).numpy()


def pattern_of(structure: Structure) -> np.ndarray:
    return structure.pattern.toarray()


def assert_superset(f: Callable[[Tensor], Tensor], x: Tensor, operator: str = "divergence") -> Structure:
    """A traced pattern has every entry that is not zero, and the colours of any are those of a colouring."""
    found = detect_structure(f, x[:1], operator)
    if found.source == "traced":
        missed = true_pattern(f, x, operator) & ~pattern_of(found)
        assert not missed.any(), f"{found} lacks {np.argwhere(missed).tolist()}"
    assert_coloring(pattern_of(found), found.color)
    return found


def assert_coloring(pattern: np.ndarray, color: np.ndarray) -> None:
    """No entry off the diagonal joins two indices of one colour, and the colours are 0, 1, ..., at most n of them."""
    rows, columns = np.nonzero(pattern)
    off = rows != columns
    assert not (color[rows[off]] == color[columns[off]]).any()
    assert sorted(set(color.tolist())) == list(range(max(color) + 1))
