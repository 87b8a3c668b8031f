"""Two sets of records, case by case, through the three gates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from jacstrat.compare.accuracy import judge_accuracy
from jacstrat.compare.counts import judge_counts
from jacstrat.compare.inputs import RecordSet
from jacstrat.compare.places import differences
from jacstrat.compare.samples import cost_ratios, drifts, rank_sum_tests
from jacstrat.compare.thresholds import KINDS, Thresholds
from jacstrat.compare.time import LEVEL, judge_times
from jacstrat.compare.verdict import CaseVerdict, Comparison, Finding, Gate, NothingToCompareError, Verdict
from jacstrat.core.case import KEY, F, beside
from jacstrat.core.environment import Snapshot, moment

if TYPE_CHECKING:
    import pandas as pd

MEASURED = ("ok", "wrong")
Findings = dict[str, list[Finding]]
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
    notes = [*base.notes, *new.notes, *_about_places(base, new)]
    common, gone, added = _cases(base, new)
    before, after = base.by_case.loc[common], new.by_case.loc[common]
    same_machine, same_torch = _same(base.place, new.place)
    findings: Findings = {case: [] for case in [*common, *gone, *added]}
    for case, finding in judge_accuracy(before, after, same_machine):
        findings[case].append(finding)
    for case, finding in judge_counts(before, after, same_torch, same_machine):
        findings[case].append(finding)
    if times:
        for case, finding in _times(base, new, before, after, thresholds, not strict_time, level, notes):
            findings[case].append(finding)
    for cases, verdict, side in ((gone, Verdict.GONE, base), (added, Verdict.NEW, new)):
        statuses = dict(side.by_case["status"])
        for case in cases:
            reason = f"{statuses[case]} in {side.label}, not in the other"
            findings[case].append(
                Finding(gate=Gate.ACCURACY, verdict=verdict, measure="case", reason=reason, regression=same_cases)
            )
    names = {kind: frozenset(base.frame[kind]) | frozenset(new.frame[kind]) for kind in KINDS}
    notes += [f"a threshold is for {entry}, which no case has" for entry in thresholds.unused(names)]
    verdicts = tuple(CaseVerdict(case, tuple(found)) for case, found in findings.items())
    return Comparison(base.label, new.label, verdicts, tuple(notes))


def _about_places(base: RecordSet, new: RecordSet) -> Iterator[str]:
    for side in (base, new):
        if not side.place.known:
            yield f"{side.label} does not say where it was measured: it is taken for another machine, of the same torch"
    if base.place.known and new.place.known:
        yield from (f"environments differ: {found}" for found in differences(base.place, new.place))
    began, then = moment(base.place.utc), moment(new.place.utc)
    if began and then and then < began:
        yield (
            f"NEW, {new.label}, was measured on {then:%Y-%m-%d %H:%M}, before BASE, {base.label}, on "
            f"{began:%Y-%m-%d %H:%M}: are they swapped?"
        )


def _same(base: Snapshot, new: Snapshot) -> tuple[bool, bool]:
    """Whether both are of one kind of machine, and of one torch as far as anybody knows."""
    machine = bool(base.machine) and base.machine == new.machine and base.accelerators == new.accelerators
    # What follows a plus is the build, "+cpu" or "+cu126": its operations are those of the release.
    before, after = (place.torch.partition("+")[0] for place in (base, new))
    return machine, not (before and after) or before == after


def _cases(base: RecordSet, new: RecordSet) -> tuple[list[str], list[str], list[str]]:
    """The cases that both have, that BASE has alone, and that NEW has alone."""
    before, after = base.by_case.index, new.by_case.index
    for side, index in ((base, before), (new, after)):
        if index.empty:
            raise NothingToCompareError(f"{side.label} has no case: its run measured nothing")
    common = [case for case in before if case in after]
    if not common:
        raise NothingToCompareError(f"{base.label} and {new.label} have no case in common{_hint(base, new)}")
    for side in (base, new):
        statuses = side.by_case.loc[common, "status"]
        if not statuses.isin(MEASURED).any():
            found = ", ".join(f"{count} {status}" for status, count in Counter(statuses).most_common())
            reason = side.by_case.loc[common, "reason"].mode().iloc[0]
            raise NothingToCompareError(f"{side.label} measured none of the {len(common)} cases ({found}): {reason}")
    return common, [case for case in before if case not in after], [case for case in after if case not in before]


def _hint(base: RecordSet, new: RecordSet) -> str:
    """The columns of the key that never agree."""
    for name in KEY:
        before, after = (sorted(set(side.frame[name].dropna())) for side in (base, new))
        if not set(before) & set(after):
            shown = [
                ", ".join(map(str, values[:3])) + (", ..." if len(values) > 3 else "") for values in (before, after)
            ]
            remedy = f"; measure both with the same --{name}" if name == "threads" else ""
            return f": {name} is {shown[0]} against {shown[1]}{remedy}"
    return ""


def _times(
    base: RecordSet,
    new: RecordSet,
    before: pd.DataFrame,
    after: pd.DataFrame,
    thresholds: Thresholds,
    advisory: bool,
    level: float,
    notes: list[str],
) -> Iterator[tuple[str, Finding]]:
    """Findings on time, of the cases that have samples; says in the notes what was left out, and why."""
    timed = before.index[before["median_s"].notna() & after["median_s"].notna()]
    if timed.empty:
        untimed = [side.label for side, frame in ((base, before), (new, after)) if frame["median_s"].isna().all()]
        notes.append(f"times are left out: there are none in {' and '.join(untimed) or 'the same cases'}")
        return
    f_case = {case: of_f for case in timed if (of_f := beside(case, F))}
    ratios = [cost_ratios(side.samples, f_case) for side in (base, new)]
    in_ratios = [case for case in timed if case in ratios[0] and case in ratios[1]]
    comparable = base.place.known and new.place.known and not any(differences(base.place, new.place))
    in_seconds = []
    if comparable:
        sampled = [case for case in timed if all(side.samples.get(case, {}).get("seconds") for side in (base, new))]
        in_seconds = [case for case in sampled if case not in ratios[0] or case not in ratios[1]]
    tests = rank_sum_tests([ratios[0][c] for c in in_ratios], [ratios[1][c] for c in in_ratios], "cost_ratio", level)
    drifted = drifts([test.ratio for test in tests], _ratios(before, after, in_ratios, "f_median_s"))
    in_s = rank_sum_tests(
        [base.samples[c]["seconds"] for c in in_seconds],
        [new.samples[c]["seconds"] for c in in_seconds],
        "median_s",
        level,
    )
    drifted += drifts([test.ratio for test in in_s], _ratios(before, after, in_seconds, "f_median_s"))
    cases = [*in_ratios, *in_seconds]
    if cases:
        bounds = [
            thresholds.of(c, strategy=str(before.at[c, "strategy"]), problem=str(before.at[c, "problem"]))
            for c in cases
        ]
        yield from zip(cases, judge_times([*tests, *in_s], bounds, level, drifted, advisory), strict=True)
        advice = "advice, and no regression" if advisory else "held against NEW (--strict-time)"
        notes.append(f"times were measured apart: SLOWER is {advice}; `jacstrat compare-rev` measures side by side")
    if left := len(timed) - len(cases):
        lacking = [s.label for s, found in zip((base, new), ratios, strict=True) if not found and not s.samples]
        why = f"there are no samples in {' and '.join(lacking)}" if lacking else "they have no samples in common"
        if not lacking and not comparable:
            why = "seconds of different environments do not compare, and there are no samples of cost ratios"
        notes.append(f"times of {left} cases are left out: {why}")


def _ratios(before: pd.DataFrame, after: pd.DataFrame, cases: list[str], column: str) -> list[float]:
    found = after.loc[cases, column].astype("float64") / before.loc[cases, column].astype("float64")
    return [float(value) for value in found]
