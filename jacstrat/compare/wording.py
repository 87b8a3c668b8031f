"""What a comparison says in words: which cases are told, what each is called, and what it all comes to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from jacstrat.compare.verdict import BECAME_WRONG, REGRESSION, CaseVerdict, Comparison, Gate, Verdict
from jacstrat.report.setting import quantity

# The parts of a case's key after its strategy, as harness.cases.Case has them.
_NAME = re.compile("(.*)/(divergence|laplacian|jacobian_diagonal)/(.*)")
PARTS = ("n", "batch", "dtype", "device", "workload", "threads", "seed")


@dataclass(frozen=True)
class Line:
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


def told(comparison: Comparison, everything: bool = False) -> list[CaseVerdict]:
    """The cases worth a line, the gravest first; all of them where everything is asked for.

    A case whose time alone is AMBIGUOUS is left out: of runs that were measured apart nearly every one is. Cases that
    one side lacks have a line for all, `lacking`, unless they are regressions.
    """
    order = {verdict: place for place, verdict in enumerate(Verdict)}
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
        found = [case.case for case in comparison.cases if case.verdict is verdict and not case.regression]
        if found:
            more = f", and {len(found) - 3} more" if len(found) > 3 else ""
            lines.append(f"{verdict}: {_cases(len(found))} in {side} alone: {', '.join(found[:3])}{more}")
    return lines


def _grave(case: CaseVerdict) -> bool:
    return case.regression or case.verdict is Verdict.WRONG


def lines_of(comparison: Comparison, cases: Sequence[CaseVerdict]) -> list[Line]:
    """Lines of some of the cases; what all cases of the comparison share of their settings is left out."""
    values: list[set[str]] = [set() for _ in PARTS]
    for case in comparison.cases:
        for found, part in zip(values, _split(case.case)[1], strict=False):
            found.add(part)
    shown = [place == 0 or len(found) > 1 for place, found in enumerate(values)]
    lines = []
    for case in cases:
        name, parts = _split(case.case)
        setting = ", ".join(part for part, show in zip(parts, shown, strict=False) if show)
        match = _NAME.fullmatch(name)
        of, strategy = (quantity(match[2], match[1]), match[3]) if match else (name, "")
        lines.append(Line(case.verdict, of, strategy, setting, case.reason, _grave(case)))
    return lines


def _split(case: str) -> tuple[str, list[str]]:
    """A key as its name and the parts of its setting; a key of another form is all name."""
    name, *parts = case.rsplit("/", len(PARTS))
    return (name, parts) if len(parts) == len(PARTS) and parts[0].startswith("n=") else (case, [])


def tally(comparison: Comparison) -> str:
    """How many cases have each verdict: "70 cases: 1 WORSE, 69 SAME"."""
    parts = ", ".join(f"{count} {verdict}" for verdict, count in comparison.counts.items())
    return f"{_cases(len(comparison.cases))}: {parts}"


def conclusion(comparison: Comparison) -> str:
    """One sentence, which the exit code says in a number."""
    found = comparison.regressions
    if comparison.exit_code == BECAME_WRONG:
        wrong = sum(case.verdict is Verdict.WRONG for case in found)
        rest = len(found) - wrong
        other = f", {_cases(rest)} more {'is a regression' if rest == 1 else 'are regressions'}" if rest else ""
        return f"{wrong} result{'' if wrong == 1 else 's'} became wrong{other}."
    if comparison.exit_code == REGRESSION:
        return (
            f"{_cases(len(found))} of {len(comparison.cases)} {'is a regression' if len(found) == 1 else 'regressed'}."
        )
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
