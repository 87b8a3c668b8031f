"""A choice in words: why this one, and why none."""

from __future__ import annotations

import pytest
import torch

from jacstrat.core.errors import ShapeError, UnsupportedError
from jacstrat.core.operator import OPERATORS
from jacstrat.strategies import Identity, Jvp, Vmap
from jacstrat.strategies.auto.candidates import Candidate, Evidence
from jacstrat.strategies.auto.counting import UNKNOWN, product_costs
from jacstrat.strategies.auto.offers import candidates_of, on_ground
from jacstrat.strategies.auto.timed import Timed
from jacstrat.strategies.auto.wording import reason_of, refusal_of
from jacstrat.strategies.base import Strategy

DIVERGENCE = OPERATORS["divergence"]
EVIDENCE = Evidence(DIVERGENCE, torch.ones(2, 4), product_costs(DIVERGENCE, UNKNOWN.work), UNKNOWN.work)
PREDICTED: dict[Strategy, float] = {Identity(): 4e-5, Vmap(): 2e-5, Jvp(): 3.12e-4}


@pytest.fixture
def candidates() -> dict[Strategy, Candidate]:
    offered = {one.strategy: one for one in candidates_of(EVIDENCE)}
    return {strategy: offered[strategy] for strategy in PREDICTED}


def test_by_counts_alone_it_says_so(candidates) -> None:
    reason = reason_of(candidates, Timed({}, PREDICTED, 0.0), Vmap(), {})
    assert reason == "vmap: 20 us by counts against 40 us of identity"


def test_what_was_not_called_is_a_prediction(candidates) -> None:
    seconds: dict[Strategy, float] = {Vmap(): 1e-3}
    reason = reason_of(candidates, Timed(seconds, PREDICTED, 0.0), Vmap(), {})
    assert reason == "vmap: 1 ms against a predicted 2 ms of identity"


def test_what_failed_is_told_in_short_and_not_compared(candidates) -> None:
    failures = {"identity": RuntimeError("a\n  b " + "c " * 100)}
    reason = reason_of(candidates, Timed({}, PREDICTED, 0.0), Vmap(), failures)
    assert reason.startswith("vmap: 20 us by counts against 312 us of jvp; without identity: RuntimeError: a b c c")
    assert reason.endswith("c ...")


def test_where_none_is_right_it_raises_what_reverse_mode_says() -> None:
    of_f = ShapeError("f maps (2, 3) to (2,)")
    assert refusal_of({"vmap": UnsupportedError("no"), "identity": of_f}) is of_f
    refusal = refusal_of({"vmap": UnsupportedError("it gives another result")})
    assert isinstance(refusal, UnsupportedError)
    assert str(refusal) == "no strategy is right for this function; vmap: it gives another result"


def test_without_a_structure_nothing_stands_on_a_ground() -> None:
    assert on_ground(EVIDENCE) == []
    assert not [one for one in candidates_of(EVIDENCE) if one.ground]
