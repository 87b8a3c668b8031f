"""Steps: the best piecewise constant fit, against trying all of them."""

from __future__ import annotations

import itertools
import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.history.steps import LEAST_NOISE, noise, penalty_of, segments


def cost(values: list[float], bounds: list[tuple[int, int]], penalty: float) -> float:
    """The functional as its definition has it."""
    off = sum(abs(y - statistics.median(values[a:b])) for a, b in bounds for y in values[a:b])
    return off + penalty * (len(bounds) - 1)


def every_fit(count: int) -> list[list[tuple[int, int]]]:
    """All ways to cut 0..count into intervals."""
    ways = []
    for chosen in itertools.product((False, True), repeat=count - 1):
        cuts = [0, *(i + 1 for i, cut in enumerate(chosen) if cut), count]
        ways.append(list(itertools.pairwise(cuts)))
    return ways


@given(
    st.lists(st.floats(-8, 8).map(lambda x: round(x, 2)), min_size=1, max_size=8),
    st.floats(0.01, 10).map(lambda x: round(x, 2)),
    st.integers(1, 3),
)
def test_no_other_fit_is_better(values: list[float], penalty: float, shortest: int) -> None:
    found = segments(values, penalty, shortest)
    assert [a for a, _ in found] == [0, *(b for _, b in found[:-1])]
    assert found[-1][1] == len(values)
    allowed = [
        bounds
        for bounds in every_fit(len(values))
        if len(bounds) == 1 or all(end - begin >= shortest for begin, end in bounds)
    ]
    best = min(cost(values, bounds, penalty) for bounds in allowed)
    assert cost(values, found, penalty) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("place", [0, 1, 10, 19, 20])
def test_a_single_outlier_is_no_step(place: int) -> None:
    values = [1.0] * 21
    values[place] = 500.0
    assert segments(values, 4.0, shortest=2) == [(0, 21)]
    assert segments(values, 4.0) != [(0, 21)]


def test_what_is_constant_is_whole() -> None:
    assert segments([2.0] * 40, 1e-12) == [(0, 40)]
    assert segments([7.0], 1.0) == [(0, 1)]


def test_every_change_of_a_count_is_a_step() -> None:
    assert segments([13.0, 13.0, 14.0, 14.0, 13.0], 1e-12) == [(0, 2), (2, 4), (4, 5)]


def test_noise_is_that_of_neighbours_and_not_of_steps() -> None:
    rng = random.Random(0)
    white = [rng.gauss(0, 0.02) for _ in range(400)]
    stepped = [value + (i >= 200) for i, value in enumerate(white)]
    assert noise(white) == pytest.approx(0.02, rel=0.15)
    assert noise(stepped) == pytest.approx(noise(white), rel=0.02)
    assert noise([1.0]) == noise([1.0, 1.0, 1.0]) == LEAST_NOISE


def test_a_step_of_five_times_the_noise_is_found_and_noise_alone_is_none() -> None:
    rng = random.Random(1)
    found, false = 0, 0
    for _ in range(100):
        white = [rng.gauss(0, 0.02) for _ in range(20)]
        false += len(segments(white, penalty_of(white))) > 1
        stepped = [value + 0.1 * (i >= 15) for i, value in enumerate(white)]
        cuts = segments(stepped, penalty_of(stepped))
        found += len(cuts) == 2 and abs(cuts[1][0] - 15) <= 1
    assert found >= 95
    assert false <= 5


def test_drift_shows_as_steps_that_add_up() -> None:
    rng = random.Random(2)
    drifting = [math.log1p(0.01) * i + rng.gauss(0, 0.01) for i in range(40)]
    cuts = segments(drifting, penalty_of(drifting))
    assert len(cuts) > 1
    first, last = (statistics.median(drifting[a:b]) for a, b in (cuts[0], cuts[-1]))
    assert last - first > 0.2
