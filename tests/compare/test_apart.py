"""Times of two runs that were measured apart: which samples compare."""

from __future__ import annotations

from dataclasses import replace

from jacstrat.compare.apart import ComparableSamples, judge_times_apart
from jacstrat.compare.inputs import RecordSet
from jacstrat.compare.record_pair import RecordPair
from jacstrat.compare.thresholds import Thresholds

from .conftest import HERE, timed_side


def without_f(side: RecordSet, last: int) -> RecordSet:
    """The side, with seconds alone in its last cases."""
    cases = side.frame["case"][-last:]
    return replace(side, samples=dict(side.samples) | {c: {"seconds": side.samples[c]["seconds"]} for c in cases})


def test_cases_compare_in_ratios_where_they_can_and_else_in_seconds_of_one_place() -> None:
    base, new = timed_side(1), timed_side(2)
    pair = RecordPair(base, without_f(new, 4))
    samples = ComparableSamples.of(pair, pair.common)
    assert ([*samples.cost_ratio], [*samples.median_s]) == (pair.common[:-4], pair.common[-4:])
    assert samples.left_out[0] == 0
    apart = RecordPair(base, replace(without_f(new, 4), environment=replace(HERE, machine="def")))
    elsewhere = ComparableSamples.of(apart, apart.common)
    assert not elsewhere.median_s
    assert elsewhere.left_out == (
        4,
        "seconds of different environments do not compare, and there are no samples of cost ratios",
    )


def test_findings_and_notes_are_of_both_measures() -> None:
    pair = RecordPair(timed_side(1), without_f(timed_side(2), 4))
    findings, notes = judge_times_apart(pair, Thresholds(), strict=False)
    assert [*findings] == pair.common
    assert [finding.measure for finding in findings.values()] == ["cost_ratio"] * 6 + ["median_s"] * 4
    assert notes == (
        "times were measured apart: SLOWER is advice, and no regression; `jacstrat compare-rev` measures side by side",
    )
