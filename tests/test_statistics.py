"""Statistics against their definitions."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.statistics import (
    _rank,
    chance_of_share,
    median_interval,
    ratio,
    student_quantile,
    student_within,
    summarise,
)

positive = st.floats(1e-9, 1e3)


def coverage(count: int, k: int) -> float:
    """The probability that the k-th smallest and largest of count values enclose the median."""
    return 1 - 2 * sum(math.comb(count, i) for i in range(k)) / 2**count


@pytest.mark.parametrize("count", [6, 7, 10, 11, 20, 50, 99, 500, 999])
def test_the_rank_is_the_largest_with_95_per_cent(count: int) -> None:
    k = _rank(count)
    assert coverage(count, k) >= 0.95 > coverage(count, k + 1)


def test_the_normal_approximation_continues_the_exact_ranks() -> None:
    assert abs(_rank(1000) - _rank(999)) <= 1
    assert coverage(2000, _rank(2000)) == pytest.approx(0.95, abs=0.005)


def test_six_values_are_enclosed_by_their_extremes_and_five_say_nothing() -> None:
    assert median_interval([3, 1, 2, 6, 5, 4]) == (1, 6)
    assert median_interval([1, 2, 3, 4, 5]) is None
    assert summarise([1, 2, 3, 4, 5]).half_width == math.inf


def test_ten_values_give_ranks_two_and_nine() -> None:
    # The table in every book: n = 10, ranks 2 and 9, 97.9 %.
    assert median_interval(list(range(1, 11))) == (2, 9)


def test_the_interval_covers_the_median_as_often_as_it_says() -> None:
    rng = random.Random(1)
    covered = 0
    for _ in range(1000):
        low, high = median_interval([rng.lognormvariate(0, 1) for _ in range(25)])
        covered += low <= 1 <= high
    assert covered >= 940


@given(st.lists(positive, min_size=1, max_size=200))
def test_a_summary_is_ordered(values: list[float]) -> None:
    s = summarise(values)
    assert s.minimum == min(values)
    assert s.minimum <= s.q1 * (1 + 1e-12)
    assert s.q1 <= s.median <= s.q3
    assert s.median == pytest.approx(np.median(values))
    assert s.samples == len(values)
    if s.low is not None:
        assert s.low <= s.median <= s.high


def test_half_width_is_relative_to_the_median() -> None:
    assert summarise([9, 9, 10, 10, 11, 11]).half_width == pytest.approx(0.1)


def test_a_ratio_is_taken_within_rounds_so_that_drift_cancels() -> None:
    drift = {r: 1 + r for r in range(20)}
    numerator = {r: 3 * d for r, d in drift.items()}
    r = ratio(numerator, drift)
    assert (r.median, r.low, r.high) == (3, 3, 3)


def test_a_ratio_uses_the_rounds_that_both_have() -> None:
    r = ratio({0: 2.0, 1: 4.0, 9: 100.0}, {0: 1.0, 1: 1.0, 2: 7.0})
    assert (r.median, r.samples) == (3, 2)
    assert ratio({0: 1.0}, {1: 1.0}) is None


@pytest.mark.parametrize(
    ("t", "degrees", "within"),
    # Tables of Student's t, two-sided.
    [
        *((12.7062, 1, 0.95), (4.30265, 2, 0.95), (3.18245, 3, 0.95), (2.22814, 10, 0.95), (2.04523, 29, 0.95)),
        *((63.6567, 1, 0.99), (3.16927, 10, 0.99), (2.75639, 29, 0.99), (1.0, 1, 0.5), (0.0, 5, 0.0)),
    ],
)
def test_students_t_is_that_of_the_tables(t: float, degrees: int, within: float) -> None:
    assert student_within(t, degrees) == pytest.approx(within, abs=2e-6)


@given(st.floats(0, 50), st.integers(1, 300))
def test_students_t_is_a_probability_that_grows_with_t(t: float, degrees: int) -> None:
    near, far = student_within(t, degrees), student_within(t + 1, degrees)
    assert 0 <= near <= far + 1e-14
    assert far <= 1 + 1e-14
    assert student_within(math.inf, degrees) == pytest.approx(1)


@given(st.integers(1, 60), st.floats(0.05, 0.95), st.data())
def test_the_chance_of_a_share_bounds_the_binomial(trials: int, rate: float, data) -> None:
    hits = data.draw(st.integers(0, trials))
    tail = sum(math.comb(trials, k) * rate**k * (1 - rate) ** (trials - k) for k in range(hits + 1))
    bound = chance_of_share(hits / trials, trials, rate)
    assert tail <= bound * (1 + 1e-9)
    assert bound == 1 or hits / trials < rate


def test_the_chance_of_a_share_falls_with_the_number_of_trials() -> None:
    assert chance_of_share(0.4, 10, 0.5) > 0.5
    assert chance_of_share(0.4, 1000, 0.5) < 1e-8
    assert chance_of_share(0.0, 10, 0.5) == pytest.approx(2.0**-10)


@given(st.floats(0.01, 0.999), st.integers(1, 60))
def test_the_quantile_of_students_t_is_where_its_share_is(share: float, degrees: int) -> None:
    assert student_within(student_quantile(share, degrees), degrees) == pytest.approx(share, abs=1e-8)
