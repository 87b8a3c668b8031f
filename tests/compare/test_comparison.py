"""All gates together: cases of one side, times, places."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jacstrat.compare.comparison import compare
from jacstrat.compare.inputs import RecordSet
from jacstrat.compare.thresholds import Thresholds
from jacstrat.compare.verdict import Comparison, NothingToCompareError, Verdict

from .conftest import HERE, changed, records_of, side_of, timed, timed_side

ELSEWHERE = replace(HERE, machine="def", logical_cores=64)


def times(comparison: Comparison) -> list[Verdict | None]:
    return [case.time.verdict if case.time else None for case in comparison.cases]


def test_the_same_records_are_the_same() -> None:
    comparison = compare(side_of(records_of()), side_of(records_of()))
    assert (comparison.counts, comparison.exit_code) == ({Verdict.SAME: 10}, 0)


def test_cases_that_one_side_lacks() -> None:
    base, new = records_of((4, 16)), records_of((16, 64))
    comparison = compare(side_of(base, "OLD"), side_of(new))
    assert comparison.counts == {Verdict.GONE: 5, Verdict.NEW: 5, Verdict.SAME: 5}
    assert comparison.exit_code == 0
    assert comparison.cases[5].reason == "ok in OLD, not in the other"
    assert compare(side_of(base), side_of(new), same_cases=True).exit_code == 1


def test_what_was_measured_twice_without_a_change() -> None:
    for seed in range(5):
        found = times(compare(timed_side(seed), timed_side(seed + 100)))
        assert set(found) <= {Verdict.SAME, Verdict.AMBIGUOUS}


@pytest.mark.parametrize(("strict", "code"), [(False, 0), (True, 1)])
def test_a_case_far_beyond_the_drift_is_slower_and_a_regression_only_if_asked(strict: bool, code: int) -> None:
    comparison = compare(timed_side(1), timed_side(2, {3: 2.0}), strict_time=strict)
    assert times(comparison)[3] is Verdict.SLOWER
    assert times(comparison).count(Verdict.SLOWER) == 1
    assert comparison.exit_code == code
    assert ("held against NEW (--strict-time)" in comparison.notes[-1]) == strict
    assert "`jacstrat compare-rev` measures side by side" in comparison.notes[-1]


def test_a_case_far_below_the_drift_is_faster() -> None:
    comparison = compare(timed_side(1), timed_side(2, {3: 0.4}), strict_time=True)
    assert times(comparison)[3] is Verdict.FASTER
    assert comparison.exit_code == 0


def test_a_few_per_cent_among_cases_that_drifted_cannot_be_told() -> None:
    drifted = {place: 1 + 0.06 * (place % 5 - 2) for place in range(10)}
    comparison = compare(timed_side(1), timed_side(2, {**drifted, 3: 1.15}), strict_time=True)
    assert comparison.exit_code == 0
    assert "within the drift of" in comparison.cases[3].reason


def test_thresholds_are_by_case_strategy_and_problem() -> None:
    base, new = timed_side(1), timed_side(2, {3: 2.0})
    assert base.frame["strategy"][3] == "jvp"
    held = Thresholds(0.05, {"strategy": {"jvp": 1.5}, "problem": {"cos": 0.1}})
    comparison = compare(base, new, held, strict_time=True)
    assert comparison.exit_code == 0
    assert "a threshold is for problem 'cos', which no case has" in comparison.notes


def test_ratios_compare_across_machines_and_their_difference_is_named() -> None:
    comparison = compare(timed_side(1), timed_side(2, {3: 2.0}, environment=ELSEWHERE), strict_time=True)
    assert times(comparison)[3] is Verdict.SLOWER
    assert comparison.cases[3].time.measure == "cost_ratio"
    assert "environments differ: machine CPU, 2 cores (abc) against CPU, 64 cores (def)" in comparison.notes


def seconds_only(side: RecordSet) -> RecordSet:
    """The side as pytest-benchmark has it: seconds, and no rounds of f."""
    samples = {case: {"seconds": found["seconds"]} for case, found in side.samples.items() if "/f/" not in case}
    return RecordSet(side.label, side.frame, samples, side.environment)


def test_seconds_compare_on_one_machine_and_are_left_out_across() -> None:
    base, new = seconds_only(timed_side(1)), seconds_only(timed_side(2, {3: 2.0}))
    here = compare(base, new)
    assert times(here)[3] is Verdict.SLOWER
    assert here.cases[3].time.measure == "median_s"
    apart = compare(base, replace(new, environment=ELSEWHERE))
    assert times(apart) == [None] * 10
    assert (
        "times of 10 cases are left out: seconds of different environments do not compare, and there are no samples "
        "of cost ratios"
    ) in apart.notes


def test_no_verdict_from_fewer_samples_than_the_test_needs() -> None:
    comparison = compare(timed_side(1, count=7), timed_side(2, {3: 3.0}, count=7), strict_time=True)
    assert set(times(comparison)) == {Verdict.AMBIGUOUS}
    assert "7 samples, the test needs 8 on either side" in comparison.cases[3].reason


def test_no_samples_and_no_times_are_told() -> None:
    records, samples = timed(records_of(), 1)
    bare = compare(side_of(records, "OLD"), side_of(records, samples=samples))
    assert "times of 10 cases are left out: there are no samples in OLD" in bare.notes
    untimed = compare(side_of(records_of(), "OLD"), side_of(records, samples=samples))
    assert "times are left out: there are none in OLD" in untimed.notes
    assert times(untimed) == times(bare) == [None] * 10


def test_swapped_sides_are_suspected() -> None:
    early, late = (replace(HERE, utc=f"2026-0{month}-01T00:00:00+00:00") for month in (1, 2))
    swapped = compare(side_of(records_of(), "OLD", late), side_of(records_of(), "NEW", early))
    assert swapped.notes[0] == (
        "NEW, NEW, was measured on 2026-01-01 00:00, before BASE, OLD, on 2026-02-01 00:00: are they swapped?"
    )
    right = compare(side_of(records_of(), "OLD", early), side_of(records_of(), "NEW", late))
    assert not any("swapped" in note for note in right.notes)


def test_nothing_to_compare() -> None:
    some, none = side_of(records_of(), "OLD"), side_of([], "NEW")
    with pytest.raises(NothingToCompareError, match="NEW has no case: its run measured nothing"):
        compare(some, none)
    others = [replace(record, case=f"{record.case}!", threads=8) for record in records_of()]
    message = "OLD and NEW have no case in common: threads is 1 against 8; measure both with the same --threads"
    with pytest.raises(NothingToCompareError, match=message):
        compare(some, side_of(others))
    skipped = records_of(status="skipped", reason="device cuda is not available; here: cpu")
    message = r"NEW measured none of the 10 cases \(10 skipped\): device cuda is not available; here: cpu"
    with pytest.raises(NothingToCompareError, match=message):
        compare(some, side_of(skipped))
    with pytest.raises(NothingToCompareError, match="NEW measured none"):
        compare(side_of(skipped), some)


def test_a_regression_of_one_gate_does_not_hide_another() -> None:
    base = records_of()
    comparison = compare(side_of(base), side_of(changed(base, aten_ops=60, rel_error=1e-10, status="wrong")))
    assert comparison.exit_code == 4
    assert {finding.measure for finding in comparison.cases[3].findings} == {"status", "aten_ops"}
