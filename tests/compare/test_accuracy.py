"""The gate of accuracy: errors and statuses."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jacstrat.compare.accuracy import EPSILON, ERROR_FACTOR, ORDER
from jacstrat.compare.comparison import compare
from jacstrat.compare.verdict import Comparison, Gate, Verdict
from jacstrat.core.status import STATUSES
from jacstrat.measure.accuracy import TOLERANCES

from .conftest import HERE, changed, only, records_of, side_of

pytestmark = pytest.mark.long(but_one_in=3)

ELSEWHERE = replace(HERE, machine="def")


def errors(before: float | None, after: float | None, dtype: str = "float64", environment=HERE) -> Comparison:
    base = [replace(record, dtype=dtype) for record in records_of(rel_error=0.0)]
    return compare(
        side_of(changed(base, rel_error=before)), side_of(changed(base, rel_error=after), environment=environment)
    )


def test_epsilons_are_those_of_the_tolerances() -> None:
    assert dict(EPSILON) == {name: tolerance.epsilon for name, tolerance in TOLERANCES.items()}
    assert {*ORDER, "wrong"} == set(STATUSES)


@pytest.mark.parametrize("place", [HERE, ELSEWHERE], ids=["same machine", "another machine"])
@pytest.mark.parametrize("dtype", EPSILON)
def test_an_error_four_times_as_large_is_found(dtype: str, place) -> None:
    small = [
        replace(r, dtype=dtype, rel_error=s * EPSILON[dtype]) for r, s in zip(records_of((4,)), STARTS, strict=True)
    ]
    large = [replace(record, rel_error=4 * record.rel_error) for record in small]
    comparison = compare(side_of(small), side_of(large, environment=place))
    for case in comparison.cases:
        (finding,) = case.findings
        assert (finding.gate, finding.verdict, finding.measure) == (Gate.ACCURACY, Verdict.WORSE, "rel_error")
        assert finding.ratio == pytest.approx(4)
    assert comparison.exit_code == 1
    back = compare(side_of(large), side_of(small, environment=place))
    assert (back.counts, back.exit_code) == ({Verdict.BETTER: 5}, 0)


STARTS = (0.13, 0.4, 1.0, 40.0, 1000.0)


@settings(max_examples=8)
@given(st.lists(st.tuples(st.floats(0, 1e-12), st.floats(1 / 2.9, 2.9)), min_size=10, max_size=10))
def test_what_rounding_moves_is_the_same(moved: list[tuple[float, float]]) -> None:
    base = [replace(record, rel_error=before) for record, (before, _) in zip(records_of(), moved, strict=True)]
    new = [replace(record, rel_error=record.rel_error * by) for record, (_, by) in zip(base, moved, strict=True)]
    assert compare(side_of(base), side_of(new)).counts == {Verdict.SAME: 10}


def test_no_answer_is_better_than_the_exact_one_rounded() -> None:
    half = EPSILON["float64"] / 2
    assert errors(0.0, half).counts == {Verdict.SAME: 10}
    assert errors(0.0, 1.01 * half).exit_code == 1
    assert "rel_error 0 -> 1.1e-16" in only(errors(0.0, 1.01 * half)).reason


def test_an_infinite_error_is_worse() -> None:
    assert errors(1e-15, math.inf).exit_code == 1
    assert errors(math.inf, math.inf).counts == {Verdict.SAME: 10}


def test_an_error_that_is_not_known_any_more_is_not_the_same() -> None:
    assert only(errors(1e-15, None)).verdict is Verdict.AMBIGUOUS
    assert errors(None, 1e-15).counts == {Verdict.SAME: 10}


def test_the_factor_leaves_room_below_four() -> None:
    assert 2.5 < ERROR_FACTOR < 4


@pytest.mark.parametrize(
    ("before", "after", "verdict", "code"),
    [
        ("ok", "wrong", Verdict.WRONG, 4),
        ("unsupported", "wrong", Verdict.WRONG, 4),
        ("crashed", "wrong", Verdict.WRONG, 4),
        ("wrong", "ok", Verdict.FIXED, 0),
        ("error", "ok", Verdict.FIXED, 0),
        ("crashed", "ok", Verdict.FIXED, 0),
        ("unsupported", "ok", Verdict.BETTER, 0),
        ("oom", "ok", Verdict.BETTER, 0),
        ("ok", "unsupported", Verdict.WORSE, 1),
        ("ok", "timeout", Verdict.WORSE, 1),
        ("ok", "error", Verdict.WORSE, 1),
        ("wrong", "crashed", Verdict.WORSE, 1),
        ("wrong", "unsupported", Verdict.BETTER, 0),
        ("unsupported", "crashed", Verdict.WORSE, 1),
        ("error", "unsupported", Verdict.BETTER, 0),
    ],
)
def test_what_becomes_of_a_status(before: str, after: str, verdict: Verdict, code: int) -> None:
    base = records_of()
    old, new = (changed(base, status=status, reason=f"why {status}") for status in (before, after))
    comparison = compare(side_of(old), side_of(new))
    assert only(comparison).verdict is verdict
    assert comparison.exit_code == code
    assert only(comparison).reason.startswith(f"{before} -> {after}")
    assert (f"why {after}" in only(comparison).reason) == (after != "ok")


@pytest.mark.parametrize("after", ["skipped", "timeout", "oom"])
def test_what_another_machine_cannot_do_is_ambiguous(after: str) -> None:
    base = records_of()
    new = changed(base, status=after, reason="too large")
    assert compare(side_of(base), side_of(new)).exit_code == 1
    comparison = compare(side_of(base), side_of(new, environment=ELSEWHERE))
    assert (only(comparison).verdict, comparison.exit_code) == (Verdict.AMBIGUOUS, 0)


def test_two_wrong_results_are_the_same() -> None:
    base = changed(records_of(), status="wrong", rel_error=0.5)
    assert compare(side_of(base), side_of(changed(base, rel_error=5.0))).counts == {Verdict.SAME: 10}
