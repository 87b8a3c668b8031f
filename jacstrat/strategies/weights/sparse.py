"""A constant weight of few entries a row, as gathers: a pattern goes through these, and not through a product."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from jacstrat.strategies.weights.numbers import near

# A row has so many times fewer entries than coordinates where gathers serve.
WORTH = 8


class SparseRows(NamedTuple):
    """A matrix of at most r entries a row.

    Fields:
        places: Columns of the entries, (r, n); that of the row itself where it has no more.
        entries: (r, n); 0 there.
    """

    places: Tensor
    entries: Tensor

    def applied(self, y: Tensor) -> Tensor:
        """A y, of rows (..., n)."""
        parts = [y.index_select(-1, k) * entry for k, entry in zip(self.places, self.entries, strict=True)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total


def sparse_rows(A: Tensor, x: Tensor) -> SparseRows | None:
    """The entries of a matrix (n, n), for points like x; None where some row has too many."""
    n, filled = len(A), A != 0
    r = int(filled.sum(1).max())
    if r == 0 or WORTH * r > n:
        return None
    # Those that are filled first, in their order.
    places = filled.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :r]
    entries = A.gather(1, places)
    places = torch.where(entries != 0, places, torch.arange(n, device="cpu").unsqueeze(1))
    return SparseRows(places.mT.contiguous().to(x.device), near(entries.mT.contiguous(), x))


def sparse_root(A: Tensor, x: Tensor) -> SparseRows | None:
    """The factor of Cholesky of the symmetric part of A; None where that is not definite, or no more sparse."""
    C = (A + A.mT) / 2
    if WORTH * int((C != 0).sum(1).max()) > len(C):
        return None
    L, fault = torch.linalg.cholesky_ex(C)
    return sparse_rows(L, x) if int(fault) == 0 else None
