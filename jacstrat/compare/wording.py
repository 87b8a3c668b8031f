"""What a comparison says in words: which cases are told, what each is called, and what it all comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jacstrat.compare.verdict import BECAME_WRONG, REGRESSION, CaseVerdict, Comparison, Gate, Verdict
from jacstrat.core.case import Case
from jacstrat.report.analysis.setting import quantity


@dataclass(frozen=True)
class CaseWords:
    """A case as a table tells it.

    Fields:
        verdict: Its verdict.
        quantity: "divergence of sin"; the whole key where it has another form.
        strategy: Its spec.
        setting: Where it differs from other cases: "n=4, float32".
        reason: Why.
        regression: It makes the exit code what it is.
    """

    verdict: Verdict
    quantity: str
    strategy: str
    setting: str
    reason: str
    regression: bool


def cases_shown(comparison: Comparison, everything: bool = False) -> list[CaseVerdict]:
    """The cases worth a line, the gravest first; all of them where everything is asked for.

    A case whose time alone is AMBIGUOUS is left out: of runs that were measured apart nearly every one is. Cases that
    one side lacks have a line for all, `lacking`, unless they are regressions.
    """
    order = {verdict: rank for rank, verdict in enumerate(Verdict)}
    chosen = [case for case in comparison.cases if everything or _worth(case)]
    return sorted(chosen, key=lambda case: (not _grave(case), order[case.verdict]))


def _worth(case: CaseVerdict) -> bool:
    if case.verdict in (Verdict.GONE, Verdict.NEW) and not case.regression:
        return False
    return any(
        finding.verdict is not Verdict.SAME and not (finding.gate is Gate.TIME and finding.verdict is Verdict.AMBIGUOUS)
        for finding in case.findings
    )


def lacking(comparison: Comparison) -> list[str]:
    """A line for the cases of each side alone."""
    lines = []
    for verdict, side in ((Verdict.GONE, comparison.base), (Verdict.NEW, comparison.new)):
        lacking = [case.case for case in comparison.cases if case.verdict is verdict and not case.regression]
        if lacking:
            more = f", and {len(lacking) - 3} more" if len(lacking) > 3 else ""
            lines.append(f"{verdict}: {_cases(len(lacking))} in {side} alone: {', '.join(lacking[:3])}{more}")
    return lines


def _grave(case: CaseVerdict) -> bool:
    return case.regression or case.verdict is Verdict.WRONG


def lines_of(comparison: Comparison, cases: Sequence[CaseVerdict]) -> list[CaseWords]:
    """Lines of some of the cases; what all cases of the comparison share of their settings is left out."""
    parsed = {case.case: Case.parse(case.case) for case in comparison.cases}
    settings = zip(*(case.setting for case in parsed.values() if case), strict=True)
    shown = [number == 0 or len(set(parts)) > 1 for number, parts in enumerate(settings)]
    lines = []
    for case in cases:
        of, strategy, setting = case.case, "", ""
        if key := parsed[of]:
            of, strategy = quantity(key.operator, key.problem), key.strategy
            setting = ", ".join(part for part, show in zip(key.setting, shown, strict=True) if show)
        lines.append(CaseWords(case.verdict, of, strategy, setting, case.reason, _grave(case)))
    return lines


def tally(comparison: Comparison) -> str:
    """How many cases have each verdict: "70 cases: 1 WORSE, 69 SAME"."""
    parts = ", ".join(f"{count} {verdict}" for verdict, count in comparison.counts.items())
    return f"{_cases(len(comparison.cases))}: {parts}"


def conclusion(comparison: Comparison) -> str:
    """One sentence, which the exit code says in a number."""
    regressions = comparison.regressions
    if comparison.exit_code == BECAME_WRONG:
        wrong = sum(case.verdict is Verdict.WRONG for case in regressions)
        rest = len(regressions) - wrong
        other = f", {_cases(rest)} more {'is a regression' if rest == 1 else 'are regressions'}" if rest else ""
        return f"{wrong} result{'' if wrong == 1 else 's'} became wrong{other}."
    if comparison.exit_code == REGRESSION:
        what = "is a regression" if len(regressions) == 1 else "regressed"
        return f"{_cases(len(regressions))} of {len(comparison.cases)} {what}."
    times = [case.time.verdict for case in comparison.cases if case.time]
    unsure, slower = times.count(Verdict.AMBIGUOUS), times.count(Verdict.SLOWER)
    compared = sum(case.verdict not in (Verdict.GONE, Verdict.NEW) for case in comparison.cases)
    said = f"No regression of counts or accuracy in the {_cases(compared)} that both have"
    if not times:
        return f"{said}; no time was compared."
    advice = f"{slower} seem slower, " if slower else "none is known to be slower, "
    return f"{said}; of {len(times)} times {advice}{unsure} cannot be told."


def _cases(count: int) -> str:
    return "1 case" if count == 1 else f"{count} cases"
