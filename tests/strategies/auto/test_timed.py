"""Which of several times is the least, as far as they tell; the counts where they do not."""

from __future__ import annotations

from jacstrat.strategies.auto.timed import NEAR, ROUGHLY_NEAR, Timed
from jacstrat.strategies.base import Strategy
from jacstrat.strategies.dense import Jacfwd, Jacrev
from jacstrat.strategies.probing import Identity, Vmap

PREDICTED: dict[Strategy, float] = {Identity(): 1.0, Vmap(): 2.0, Jacrev(): 3.0, Jacfwd(): 4.0}
BETWEEN = (NEAR + ROUGHLY_NEAR) / 2


def test_without_times_the_counts_decide() -> None:
    assert Timed({}, PREDICTED, 0.0).order == [Identity(), Vmap(), Jacrev(), Jacfwd()]


def test_of_what_is_as_fast_as_the_fastest_the_counts_decide() -> None:
    seconds: dict[Strategy, float] = {Vmap(): NEAR, Jacrev(): 1.0, Identity(): BETWEEN}
    assert Timed(seconds, PREDICTED, 0.0).order == [Vmap(), Jacrev(), Identity(), Jacfwd()]


def test_a_first_call_tells_less() -> None:
    seconds: dict[Strategy, float] = {Vmap(): BETWEEN, Jacrev(): 1.0, Identity(): 1.1 * ROUGHLY_NEAR}
    assert Timed(seconds, PREDICTED, 0.0).order[0] == Jacrev()
    for rough in (Vmap(), Jacrev()):  # the one that is near, or the fastest
        assert Timed(seconds, PREDICTED, 0.0, frozenset([rough])).order[:3] == [Vmap(), Jacrev(), Identity()]


def test_what_was_not_called_takes_as_many_times_the_fastest_as_was_predicted() -> None:
    every = Timed({Vmap(): 0.5}, PREDICTED, 0.0).every
    assert every == {Identity(): 0.25, Vmap(): 0.5, Jacrev(): 0.75, Jacfwd(): 1.0}
