"""Sparse tangents brought to all n directions: each goes to its coordinate, at each entry."""

from __future__ import annotations

import torch
from torch import Tensor

from jacstrat.taylor.jet import Jet
from jacstrat.taylor.plan import SparsePlan, Spread, Summed, local, merged_in_front
from jacstrat.taylor.rule import TaylorCall

N = 5
aten = torch.ops.aten
SUPPORT = torch.tensor([[2, 5, 1], [4, 0, 3]])  # of three entries, counted from 1, 0 for none
TANGENTS = torch.tensor([[1.0, 2.0, 3.0], [4.0, 0.0, 6.0]])
BY_HAND = torch.zeros(N, 3)
for row, coordinates in enumerate(SUPPORT):
    for entry, coordinate in enumerate(coordinates):
        if coordinate:
            BY_HAND[coordinate - 1, entry] += TANGENTS[row, entry]


def tangents_of(jet: Jet) -> Tensor:
    assert jet.tangents is not None
    return jet.full()


def test_tangents_of_a_support_go_to_their_coordinates() -> None:
    bend = torch.ones(3)
    spread = Spread(SUPPORT, N)(Jet(torch.zeros(3), TANGENTS, bend))
    torch.testing.assert_close(tangents_of(spread), BY_HAND)
    assert spread.laplacian is bend
    assert spread.owned
    # The same for all points of a batch.
    batch = Spread(SUPPORT.unsqueeze(1), N)(Jet(torch.zeros(4, 3), TANGENTS.unsqueeze(1)))
    torch.testing.assert_close(tangents_of(batch), BY_HAND.unsqueeze(1).expand(N, 4, 3))


def test_a_sum_or_mean_goes_into_all_directions_at_once() -> None:
    value = torch.arange(3.0)
    for op, args, share, keepdim in (
        (aten.sum.dim_IntList, ([-1], True), 1.0, True),
        (aten.mean.dim, ([-1], False), 3.0, False),
    ):
        plan = Summed(SUPPORT, N, (-1,), keepdim, is_mean=share != 1)
        jet = plan(TaylorCall(op, (Jet(value, TANGENTS, torch.ones(3)), *args), {}, (True,) * 2, False))
        torch.testing.assert_close(jet.value, op(value, *args))
        torch.testing.assert_close(tangents_of(jet), BY_HAND.sum(1, keepdim=keepdim) / share)
        torch.testing.assert_close(jet.laplacian, op(torch.ones(3), *args))


def test_the_point_itself_has_ones_along_its_coordinate() -> None:
    point = Jet(torch.zeros(4, 3), None, is_point=True)
    assert local(point).shape == (1, 1, 3)
    torch.testing.assert_close(tangents_of(Spread(torch.tensor([[[1, 2, 3]]]), 3)(point))[:, 0], torch.eye(3))


def test_axes_are_merged_in_front_in_their_order() -> None:
    t = torch.arange(24).view(2, 3, 4)
    torch.testing.assert_close(merged_in_front(t, (-1,)), t.permute(0, 2, 1).reshape(8, 3))
    torch.testing.assert_close(merged_in_front(t, (-1, -2)), t.reshape(24))


def test_a_plan_goes_to_a_device_with_all_of_its_tensors() -> None:
    plan = SparsePlan({1: Spread(SUPPORT, N)}, Summed(SUPPORT, N, (-1,), False, False)).on(torch.device("meta"))
    spread, summed = plan.before[1], plan.instead
    assert isinstance(spread, Spread)
    assert isinstance(summed, Summed)
    assert spread.support.is_meta
    assert summed.support.is_meta
