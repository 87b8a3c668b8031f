"""Supports as sets, against Python's: unions, entries taken together, and the way into a union."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from jacstrat.taylor.jet import Jet
from jacstrat.taylor.supports import alignment, padded_to, uniform, union_of

N = 6
entries = st.lists(st.sets(st.integers(1, N), max_size=4), min_size=3, max_size=3)


def support_of(sets: list[set[int]]) -> Tensor:
    """(s, entries), the coordinates of each from behind, so that their order is of no matter."""
    size = max((len(one) for one in sets), default=0)
    rows = [sorted(one, reverse=True) + [0] * (size - len(one)) for one in sets]
    return torch.tensor(rows, dtype=torch.int64).reshape(len(sets), size).mT


def sets_of(support: Tensor) -> list[set[int]]:
    columns = [[int(c) for c in column if c] for column in support.unbind(1)]
    assert all(len(column) == len(set(column)) for column in columns), "each coordinate once"
    return [set(column) for column in columns]


@given(entries, entries)
def test_a_union_is_that_of_each_entry_and_begins_with_the_first(a, b) -> None:
    first = support_of(a)
    union = union_of([first, support_of(b)])
    assert sets_of(union) == [p | q for p, q in zip(a, b, strict=True)]
    assert torch.equal(union[: len(first)], first)
    assert len(union) <= len(first) + max(len(q - p) for p, q in zip(a, b, strict=True))


@given(entries)
def test_entries_along_an_axis_have_the_coordinates_of_all_and_no_row_too_many(a) -> None:
    together = uniform(support_of(a), (-1,))
    everything = set().union(*a)
    assert sets_of(together) == [everything]
    assert len(together) == len(everything)


@given(entries, entries)
def test_tangents_keep_their_coordinates_on_the_way_into_a_union(a, b) -> None:
    support = support_of(a)
    union = union_of([support_of(b), support])
    # The tangent of a coordinate is its number, so that it is seen where it goes; of none it is zero.
    tangents = support.double()
    moved = alignment(support, union)(Jet(torch.zeros(3), tangents.float())).tangents
    assert moved is not None
    moved = moved.expand(len(union), 3)
    mine = torch.stack([torch.isin(column, own[own > 0]) for column, own in zip(union.mT, support.mT, strict=True)], 1)
    assert torch.equal(moved, torch.where(mine, union, 0).float())


def test_a_support_is_filled_up_with_none() -> None:
    assert padded_to(torch.tensor([[1, 2]]), 3).tolist() == [[1, 2], [0, 0], [0, 0]]
