"""Picks, against the matrices that they are, and what is known of where they lead."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat.chain.picks import Pick

GENERATOR = torch.Generator().manual_seed(0)
N = 5
TURN = torch.arange(N, device="cpu").roll(1)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=GENERATOR)


IDENTITY = Pick.at(torch.arange(N, device="cpu"), torch.ones(N, dtype=torch.float64), plain=True)
PICKS = {
    "identity": IDENTITY,
    "multiple": IDENTITY.scaled(torch.tensor(3.0, dtype=torch.float64)),
    "turn": Pick.at(TURN, normal(N)),
    "some": Pick.at(torch.tensor([4, 4, 0, 2, 1], device="cpu"), normal(N)),
}


@pytest.fixture(params=PICKS)
def pick(request: pytest.FixtureRequest) -> Pick:
    return PICKS[request.param]


def test_it_is_its_matrix(pick: Pick) -> None:
    v = normal(3, N)
    torch.testing.assert_close(pick(v), v @ pick.matrix(N).mT)


@pytest.mark.parametrize("first", PICKS.values(), ids=list(PICKS))
def test_one_behind_another_is_the_product(pick: Pick, first: Pick) -> None:
    both = pick.behind(first)
    torch.testing.assert_close(both.matrix(N), pick.matrix(N) @ first.matrix(N))
    is_multiple = all(one.plain or one.number is not None for one in (pick, first))
    assert (both.plain or both.number is not None) == is_multiple


@pytest.mark.parametrize("factor", [torch.tensor(-2.0, dtype=torch.float64), torch.arange(N, dtype=torch.float64)])
def test_scaled(pick: Pick, factor: Tensor) -> None:
    scaled = pick.scaled(factor)
    torch.testing.assert_close(scaled.matrix(N), factor.expand(N).unsqueeze(1) * pick.matrix(N))
    assert not scaled.plain
    if scaled.number is not None:
        torch.testing.assert_close(scaled.matrix(N), scaled.number * torch.eye(N, dtype=torch.float64))


def test_which_rows_lead_back_is_found_once() -> None:
    turn, back = PICKS["turn"].places, Pick.at(TURN.roll(-2), normal(N)).places
    meeting = turn.meets(back)
    assert meeting is turn.meets(back)
    assert meeting.every
    assert meeting.rows.tolist() == [True] * N
    assert not turn.on_diagonal.some
    assert PICKS["some"].places.on_diagonal.rows.tolist() == [False] * N
    assert IDENTITY.places.on_diagonal.every
    assert turn.behind(back) is turn.behind(back)
