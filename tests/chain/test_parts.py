"""Parts that no map mixes, and the maps of one of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from jacstrat.chain.maps import Map, identity
from jacstrat.chain.parts import number_of_parts, part_of
from jacstrat.chain.picks import Pick

LIKE = torch.empty((), dtype=torch.float64)
BLOCK = torch.arange(6, dtype=torch.float64).reshape(2, 3)
SIX = Map(12, 18, block=BLOCK)
HALF = identity(12, LIKE).scaled(torch.tensor(0.5, dtype=torch.float64))


def test_parts_are_those_that_all_maps_have() -> None:
    four = Map(12, 12, block=torch.ones(3, 3, dtype=torch.float64))
    assert number_of_parts([SIX]) == number_of_parts([SIX, HALF]) == 6
    assert number_of_parts([SIX, four, HALF + four]) == 2
    assert number_of_parts([SIX, Map(12, 9)]) == 3, "of what is zero the axes are to be parts, too"


@pytest.mark.parametrize(
    "other",
    [
        Map(12, 12, (Pick.at(torch.arange(11, -1, -1), LIKE.new_ones(12)),)),
        identity(12, LIKE).scaled(torch.arange(12, dtype=torch.float64)),
        Map(12, 12, dense=torch.eye(12, dtype=torch.float64)),
    ],
    ids=["moves", "scales each by its own", "is any matrix"],
)
def test_a_map_that_mixes_parts_or_tells_them_apart_leaves_one(other: Map) -> None:
    assert number_of_parts([SIX, other]) == 1


def test_without_weights_that_are_shared_nothing_is_gained() -> None:
    assert number_of_parts([identity(12, LIKE), HALF]) == 1


def test_the_map_of_one_part_stands_in_each() -> None:
    M = replace(SIX, columns=12, picks=HALF.picks, block=BLOCK[:, :2])
    for count in (1, 2, 3, 6):
        one = part_of(M, count).matrix(LIKE)
        torch.testing.assert_close(torch.kron(torch.eye(count, dtype=one.dtype), one), M.matrix(LIKE))
