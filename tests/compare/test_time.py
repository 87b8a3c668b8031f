"""The rule on time: Holm's correction and the effect threshold."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.compare.time import TimeTest, holm, judge_times
from jacstrat.compare.verdict import Finding, Verdict

SURE = TimeTest(base=1.0, new=1.2, ratio=1.2, low=1.15, high=1.25, p_slower=1e-9, p_faster=1.0, samples=40, needs=8)
SURELY_FASTER = replace(SURE, new=0.8, ratio=0.8, low=0.78, high=0.82, p_slower=1.0, p_faster=1e-9)


def judged(test: TimeTest, threshold: float = 0.05, others: int = 0, **options) -> Finding:
    dull = replace(SURE, ratio=1.0, low=0.99, high=1.01, p_slower=0.5, p_faster=0.5)
    return judge_times([test] + [dull] * others, [threshold] * (1 + others), **options)[0]


def test_slower_and_faster_where_all_agree() -> None:
    slower, faster = judged(SURE), judged(SURELY_FASTER)
    assert (slower.verdict, slower.regression) == (Verdict.SLOWER, True)
    assert slower.reason == "time +20.0% (+15.0% to +25.0%), threshold 0.05"
    assert (slower.base, slower.new, slower.ratio, slower.low, slower.high) == (1.0, 1.2, 1.2, 1.15, 1.25)
    assert (faster.verdict, faster.regression) == (Verdict.FASTER, False)


def test_advice_is_no_regression() -> None:
    finding = judged(SURE, advisory=True)
    assert (finding.verdict, finding.regression) == (Verdict.SLOWER, False)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"short": "5 samples, the test needs 8 on either side"}, "5 samples, the test needs 8 on either side"),
        ({"p_slower": 0.2}, "+20.0%"),
        ({"low": 0.99}, "-1.0% to"),
        ({"low": None, "high": None}, "no interval"),
        ({"ratio": 1.04, "low": 1.03, "high": 1.045}, "+4.0%"),
    ],
)
def test_each_doubt_alone_makes_it_ambiguous(change: dict, word: str) -> None:
    finding = judged(replace(SURE, **change))
    assert (finding.verdict, finding.regression) == (Verdict.AMBIGUOUS, False)
    assert word in finding.reason


def test_a_gap_within_the_drift_is_ambiguous_and_says_so() -> None:
    finding = judged(SURE, drifts=[math.log(1.3)])
    assert finding.verdict is Verdict.AMBIGUOUS
    assert "within the drift of 30% that f and the other cases show" in finding.reason
    assert judged(SURE, drifts=[math.log(1.1)]).verdict is Verdict.SLOWER
    assert "too few other cases" in judged(SURE, drifts=[math.inf]).reason


def test_same_is_an_interval_about_1_within_the_threshold() -> None:
    near = replace(SURE, ratio=1.01, low=0.98, high=1.03, p_slower=0.2)
    assert judged(near).verdict is Verdict.SAME
    assert judged(near, threshold=0.02).verdict is Verdict.AMBIGUOUS
    # A rise of 3 % that is no chance is not the same, though it is within the threshold.
    assert judged(replace(near, ratio=1.03, low=1.02, high=1.04)).verdict is Verdict.AMBIGUOUS


def test_more_cases_ask_for_more_evidence() -> None:
    barely = replace(SURE, p_slower=0.01)
    assert judged(barely).verdict is Verdict.SLOWER
    assert judged(barely, others=9).verdict is Verdict.AMBIGUOUS


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03 times 3, 2, 1, and never below the one before.
    assert holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert list(holm([])) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_the_value_and_bonferroni(p: list[float]) -> None:
    corrected = holm(p)
    assert all(q >= value for q, value in zip(corrected, p, strict=True))
    assert all(q <= min(1.0, value * len(p)) + 1e-12 for q, value in zip(corrected, p, strict=True))
    assert list(np.argsort(corrected, kind="stable")) == sorted(range(len(p)), key=lambda i: (corrected[i], i))
