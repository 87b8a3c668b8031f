"""Supports as sets of coordinates: their unions, and the way from one to another that has all of it.

A support is (s, ...), coordinates counted from 1 in no order, 0 for none; see `sparse`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jacstrat.taylor.plan import Aligned, merged_in_front


def padded_to(support: Tensor, size: int) -> Tensor:
    return torch.cat((support, support.new_zeros(size - len(support), *support.shape[1:])))


def _flat(support: Tensor) -> Tensor:
    """(s, entries), one where the value has no axes."""
    return support.unsqueeze(-1).flatten(1)


def _compacted(support: Tensor) -> Tensor:
    """Each coordinate of an entry once, and as few rows as the entry with the most needs."""
    support = support.sort(0, descending=True).values
    repeated = torch.zeros_like(support, dtype=torch.bool)
    repeated[1:] = support[1:] == support[:-1]
    support = support.masked_fill(repeated, 0).sort(0, descending=True).values
    return support[: int(_flat(support > 0).any(1).sum())]


def union_of(supports: list[Tensor]) -> Tensor:
    """The coordinates of all, those of the first where they stand there."""
    union = supports[0]
    for other in supports[1:]:
        shape = torch.broadcast_shapes(union.shape[1:], other.shape[1:])
        union, rest = union.expand(-1, *shape), other.expand(-1, *shape)
        for row in union:
            rest = rest.masked_fill(rest == row, 0)
        union = torch.cat((union, _compacted(rest)))
    return union


def uniform(support: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The coordinates of all entries along some axes (negative), which have length 1 then."""
    shape = list(support.shape)
    for axis in axes:
        shape[axis] = 1
    merged = _compacted(merged_in_front(support, axes))
    return merged.reshape(len(merged), *shape[1:])


def alignment(support: Tensor, union: Tensor) -> Aligned:
    """From the directions of a support to those of one that has all of them."""
    s, shape = len(support), torch.broadcast_shapes(support.shape[1:], union.shape[1:])
    index = union.new_full((len(union), *shape), s)
    for number, row in enumerate(support):
        index = index.masked_fill((union == row) & (row > 0), number)
    for number, (row, wanted) in enumerate(zip(support, union, strict=False)):  # what is 0 may stay where it is
        index[number].masked_fill_((row == 0) & (wanted == 0), number)
    rows = _flat(index)
    if rows.shape[1] and bool((rows == rows[:, :1]).all()):
        return Aligned(tuple(rows[:, 0].tolist()), None, len(shape))
    return Aligned((), index, len(shape))
