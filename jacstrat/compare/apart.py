"""The gate of time for two runs that were measured apart: which samples compare, and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jacstrat.compare.record_pair import RecordPair
from jacstrat.compare.samples import cost_ratios, drifts, rank_sum_tests
from jacstrat.compare.thresholds import Thresholds
from jacstrat.compare.time import LEVEL, TimeTest, judge_times
from jacstrat.compare.verdict import Finding
from jacstrat.core.case import F, beside

BothSides = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class ComparableSamples:
    """The samples of both sides that can be compared, by case.

    Fields:
        cost_ratio: Ratios to f; of cases that both sides have with f in the same session.
        median_s: Seconds; of others, where both sides were measured in one place.
        left_out: How many cases have times and no such samples, and why.
    """

    cost_ratio: Mapping[str, BothSides]
    median_s: Mapping[str, BothSides]
    left_out: tuple[int, str]

    @classmethod
    def of(cls, pair: RecordPair, timed: Sequence[str]) -> ComparableSamples:
        """Those of the cases that both sides have timed."""
        f_case = {case: of_f for case in timed if (of_f := beside(case, F))}
        base, new = (cost_ratios(side.samples, f_case) for side in pair.sides)
        in_ratios = {case: (base[case], new[case]) for case in timed if case in base and case in new}
        in_seconds: dict[str, BothSides] = {}
        for case in timed if pair.same_place else ():
            before, after = (side.samples.get(case, {}).get("seconds") for side in pair.sides)
            if before and after and case not in in_ratios:
                in_seconds[case] = (before, after)
        lacking = [
            side.label for side, ratios in zip(pair.sides, (base, new), strict=True) if not (ratios or side.samples)
        ]
        if lacking:
            reason = f"there are no samples in {' and '.join(lacking)}"
        elif pair.same_place:
            reason = "they have no samples in common"
        else:
            reason = "seconds of different environments do not compare, and there are no samples of cost ratios"
        return cls(in_ratios, in_seconds, (len(timed) - len(in_ratios) - len(in_seconds), reason))


class TimesApart(NamedTuple):
    """What the gate says.

    Fields:
        findings: By case, of those that have samples.
        notes: What holds for all of them, and what was left out with the reason, a line each.
    """

    findings: Mapping[str, Finding]
    notes: tuple[str, ...]


def judge_times_apart(pair: RecordPair, thresholds: Thresholds, strict: bool, level: float = LEVEL) -> TimesApart:
    """Findings on time of two runs that were not interleaved.

    Args:
        pair: Both runs.
        thresholds: How much slower is too slow.
        strict: SLOWER is a regression, and not only advice.
        level: See `compare.time.LEVEL`.
    """
    has_time = [frame["median_s"].notna() for frame in (pair.before, pair.after)]
    timed = [*pair.before.index[has_time[0] & has_time[1]]]
    if not timed:
        untimed = [side.label for side, has in zip(pair.sides, has_time, strict=True) if not has.any()]
        return TimesApart({}, (f"times are left out: there are none in {' and '.join(untimed) or 'the same cases'}",))
    samples = ComparableSamples.of(pair, timed)
    notes = []
    findings = _findings(pair, samples, thresholds, strict, level)
    if findings:
        advice = "held against NEW (--strict-time)" if strict else "advice, and no regression"
        notes.append(f"times were measured apart: SLOWER is {advice}; `jacstrat compare-rev` measures side by side")
    count, reason = samples.left_out
    if count:
        notes.append(f"times of {count} cases are left out: {reason}")
    return TimesApart(findings, tuple(notes))


def _findings(
    pair: RecordPair, samples: ComparableSamples, thresholds: Thresholds, strict: bool, level: float
) -> dict[str, Finding]:
    """Drift is that of one measure; Holm's correction is over the cases of both."""
    tests: dict[str, TimeTest] = {}
    drifted: list[float] = []
    for measure, by_case in (("cost_ratio", samples.cost_ratio), ("median_s", samples.median_s)):
        base, new = ([both[side] for both in by_case.values()] for side in (0, 1))
        of_measure = rank_sum_tests(base, new, measure, level)
        drifted += drifts([test.ratio for test in of_measure], pair.ratios("f_median_s", by_case))
        tests |= dict(zip(by_case, of_measure, strict=True))
    if not tests:
        return {}
    records = pair.before
    bounds = [
        thresholds.of(case, str(records.at[case, "strategy"]), str(records.at[case, "problem"])) for case in tests
    ]
    judged = judge_times([*tests.values()], bounds, level, drifted, advisory=not strict)
    return dict(zip(tests, judged, strict=True))
