"""Two sets of records, case by case, through the three gates."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from jacstrat.compare.accuracy import judge_accuracy
from jacstrat.compare.apart import TimesApart, judge_times_apart
from jacstrat.compare.counts import judge_counts
from jacstrat.compare.inputs import RecordSet
from jacstrat.compare.record_pair import RecordPair
from jacstrat.compare.thresholds import KINDS, Thresholds
from jacstrat.compare.time import LEVEL
from jacstrat.compare.verdict import CaseVerdict, Comparison, Finding, Gate, Verdict

DEFAULTS = Thresholds()


def compare(
    base: RecordSet,
    new: RecordSet,
    thresholds: Thresholds = DEFAULTS,
    strict_time: bool = False,
    same_cases: bool = False,
    level: float = LEVEL,
    times: bool = True,
) -> Comparison:
    """A verdict on every case of two sets of records that were measured apart.

    Args:
        base, new: From `read_side`.
        thresholds: How much slower is too slow.
        strict_time: SLOWER is a regression; else it is advice, since runs that were not interleaved drift apart.
        same_cases: GONE and NEW are regressions: both sides are to have the same cases.
        level: See `compare.time.LEVEL`.
        times: Whether times are judged, too; False where they are judged elsewhere.

    Raises:
        NothingToCompareError: No case is in both, or one of them measured none of those that are.

    Cost: seconds for 10 000 cases with 60 samples each; `bench/compare.py` measures it.
    """
    pair = RecordPair(base, new)
    of_time = judge_times_apart(pair, thresholds, strict_time, level) if times else TimesApart({}, ())
    findings: dict[str, list[Finding]] = {case: [] for case in (*pair.common, *pair.gone, *pair.added)}
    for case, finding in chain(
        judge_accuracy(pair.before, pair.after, pair.same_machine),
        judge_counts(pair.before, pair.after, pair.same_torch, pair.same_machine),
        of_time.findings.items(),
        _of_one_side(pair, same_cases),
    ):
        findings[case].append(finding)
    cases = tuple(CaseVerdict(case, tuple(several)) for case, several in findings.items())
    notes = (*pair.notes(), *of_time.notes, *_unused_thresholds(pair, thresholds))
    return Comparison(base.label, new.label, cases, notes)


def _of_one_side(pair: RecordPair, regression: bool) -> Iterator[tuple[str, Finding]]:
    """Findings on the cases that one side lacks."""
    for cases, verdict, side in ((pair.gone, Verdict.GONE, pair.base), (pair.added, Verdict.NEW, pair.new)):
        statuses = dict(side.by_case["status"])
        for case in cases:
            reason = f"{statuses[case]} in {side.label}, not in the other"
            yield (
                case,
                Finding(gate=Gate.ACCURACY, verdict=verdict, measure="case", reason=reason, regression=regression),
            )


def _unused_thresholds(pair: RecordPair, thresholds: Thresholds) -> Iterator[str]:
    names = {kind: frozenset(pair.base.frame[kind]) | frozenset(pair.new.frame[kind]) for kind in KINDS}
    return (f"a threshold is for {entry}, which no case has" for entry in thresholds.unused(names))
