"""Rank-sum tests of all cases at once, against scipy's of one; the ratios by round; the drift."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from jacstrat.compare.samples import LEAST_OTHERS, cost_ratios, drifts, least_samples, rank_sum_tests
from jacstrat.statistics import median_interval

SAMPLES = st.lists(st.floats(0.5, 2, width=32), min_size=1, max_size=30, unique=True)


@settings(max_examples=25)
@given(st.lists(st.tuples(SAMPLES, SAMPLES), min_size=1, max_size=5))
def test_p_values_are_those_of_scipy(cases: list) -> None:
    base, new = [b for b, _ in cases], [[x + 1e-7 for x in n] for _, n in cases]
    for b, n, found in zip(base, new, rank_sum_tests(base, new, "median_s"), strict=True):
        if len(set(b) | set(n)) < len(b) + len(n):
            continue  # scipy corrects the deviation for ties, which times do not have
        for alternative, p in (("greater", found.p_slower), ("less", found.p_faster)):
            expected = mannwhitneyu(n, b, alternative=alternative, method="asymptotic").pvalue
            assert p == pytest.approx(expected, abs=1e-12)
        assert found.ratio == pytest.approx(np.median(n) / np.median(b))
        assert found.samples == min(len(b), len(n))
        assert (found.low is None) == (median_interval(b) is None or median_interval(n) is None)


def test_intervals_are_those_of_both_medians() -> None:
    base, new = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5], [2.0, 2.1, 2.2, 2.3, 2.4, 2.5]
    (found,) = rank_sum_tests([base], [new], "cost_ratio")
    assert (found.low, found.high) == (2.0 / 1.5, 2.5 / 1.0)
    assert (found.measure, found.short) == ("cost_ratio", "6 samples, the test needs 8 on either side")


def test_no_case_is_no_test() -> None:
    assert rank_sum_tests([], [], "median_s") == []


@pytest.mark.parametrize(("cases", "needs"), [(1, 8), (150, 8), (1000, 9), (10_000, 11)])
def test_samples_that_a_rank_sum_test_needs(cases: int, needs: int) -> None:
    assert least_samples(cases) == needs
    assert 1 / math.comb(2 * needs, needs) <= 0.05 / cases
    assert needs == 8 or 1 / math.comb(2 * needs - 2, needs - 1) > 0.05 / cases


def line(session: str, rounds: list[int], seconds: list[float]) -> dict:
    return {"session": session, "rounds": rounds, "seconds": seconds}


def test_cost_ratios_are_taken_within_a_round_and_a_session() -> None:
    samples = {
        "f": line("a", [0, 1, 2], [1.0, 2.0, 4.0]),
        "one": line("a", [2, 0, 5], [8.0, 3.0, 7.0]),
        "other session": line("b", [0, 1], [3.0, 3.0]),
        "no round shared": line("a", [7], [3.0]),
        "benchmark": {"seconds": [1.0]},
    }
    cases = dict.fromkeys(["one", "other session", "no round shared", "benchmark", "absent"], "f")
    assert cost_ratios(samples, cases) == {"one": [2.0, 3.0]}


def test_one_case_that_changed_does_not_widen_the_drift_of_the_others() -> None:
    still = [1.0, 1.01, 0.99, 1.02, 0.98, 1.0, 1.01, 0.99, 1.0, 1.005]
    quiet, loud = drifts(still, [1.0] * 10), drifts([2.0, *still[1:]], [1.0] * 10)
    assert max(loud) < math.log(1.1)
    assert loud[0] == pytest.approx(quiet[0], abs=0.02)


def test_a_drift_of_all_is_no_change_of_one() -> None:
    assert min(drifts([1.3] * 10, [1.0] * 10)) == pytest.approx(math.log(1.3))


def test_what_f_moved_by_counts_on_its_own_cell() -> None:
    found = drifts([1.0] * 10, [1.0] * 9 + [0.5])
    assert found[0] == 0
    assert found[9] == pytest.approx(math.log(2))
    assert drifts([1.0] * 10, [math.nan] * 10) == [0.0] * 10


def test_few_cases_show_no_drift() -> None:
    assert drifts([1.0] * LEAST_OTHERS, [1.0] * LEAST_OTHERS) == [math.inf] * LEAST_OTHERS
