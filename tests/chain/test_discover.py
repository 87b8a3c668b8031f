"""The map of a linear operation, found by applying it: picks where it moves entries, a matrix where it does more."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from jacstrat.chain.discover import Discovered, Opaque, same

D = torch.float64
W = torch.randn(4, 6, dtype=D, generator=torch.Generator().manual_seed(0))
X = torch.randn(2, 6, dtype=D, generator=torch.Generator().manual_seed(1))


def discovered(act, is_weighted: bool = False, shape: Sequence[int] = (2, 6)) -> Discovered:
    def apply(held: Sequence[Tensor]):
        return lambda v: act(v, *held)

    return Discovered("an operation", apply, torch.Size(shape), shape[0], D, torch.device("cpu"), is_weighted)


@pytest.mark.parametrize(
    ("act", "picks"),
    [
        (lambda v: v.flip(-1), 1),
        (lambda v: v[:, 2:4], 1),
        (lambda v: torch.nn.functional.pad(v, (1, 2)), 1),
        (lambda v: v.view(2, 2, 3).sum(-1), 3),
        (lambda v: v - v.roll(1, -1), 2),
        (lambda v: v.cumsum(-1), None),
    ],
    ids=["flip", "slice", "pad", "sum of three", "difference", "cumsum"],
)
def test_a_map_does_what_the_operation_does(act, picks: int | None) -> None:
    found = discovered(act).map([])
    torch.testing.assert_close(found(X), act(X))
    assert (found.dense is not None) == (picks is None)
    assert picks is None or len(found.picks) == picks


def test_what_is_added_is_no_part_of_the_map() -> None:
    found = discovered(lambda v: v.flip(-1) + 7).map([])
    torch.testing.assert_close(found(X), X.flip(-1))


def test_weights_are_followed_and_where_they_are_the_same_it_is_not_looked_anew() -> None:
    calls = []

    def act(v: Tensor, W: Tensor) -> Tensor:
        calls.append(1)
        return v @ W.mT

    linear = discovered(act, is_weighted=True)
    first = linear.map([W])
    before = len(calls)
    assert linear.map([W.clone()]) is first
    assert len(calls) == before
    torch.testing.assert_close(linear.map([2 * W])(X), 2 * X @ W.mT)


def test_weights_that_are_tracked_keep_their_graph() -> None:
    w = W.clone().requires_grad_()
    found = discovered(lambda v, W: v @ W.mT, is_weighted=True).map([w])
    (slope,) = torch.autograd.grad(found(X).sum(), w)
    torch.testing.assert_close(slope, X.sum(0).expand(4, 6))


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda v: v.flip(0), "does not act on each point alone and alike"),
        (lambda v: v * torch.tensor([[1.0], [2.0]], dtype=D), "does not act on each point alone and alike"),
        (lambda v: v.sum(0)[:3], "has a result that is no row for each point"),
        (lambda v: v / 0, "has a result that is no row for each point"),
    ],
    ids=["points meet", "another at each point", "no row for each", "no number"],
)
def test_what_is_no_map_for_each_point_is_told(act, words: str) -> None:
    with pytest.raises(Opaque, match=f"^an operation {words}$"):
        discovered(act).map([])


def test_a_matrix_that_is_too_large_is_told(monkeypatch) -> None:
    monkeypatch.setattr("jacstrat.chain.discover.MAX_ENTRIES", 35)
    with pytest.raises(Opaque, match="^the matrix of an operation, 6 x 6, is too large$"):
        discovered(lambda v: v.cumsum(-1)).map([])


def test_numbers_are_compared_and_not_versions() -> None:
    a = torch.ones(2)
    b = a.clone()
    assert same([a], [b])
    b.data[0] = 3
    assert not same([a], [b])
    assert not same([a], [])
