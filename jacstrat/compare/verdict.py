"""Verdicts as values: what a gate found in a case, what a case comes to, and the exit code of a comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jacstrat.core.errors import JacstratError


class Verdict(StrEnum):
    """What is said of a case, the gravest first: the verdict of a case is the first that one of its gates found."""

    WRONG = "WRONG"
    WORSE = "WORSE"
    SLOWER = "SLOWER"
    GONE = "GONE"
    AMBIGUOUS = "AMBIGUOUS"
    NEW = "NEW"
    FIXED = "FIXED"
    BETTER = "BETTER"
    FASTER = "FASTER"
    SAME = "SAME"


MEANING: Mapping[Verdict, str] = {
    Verdict.WRONG: "the result is wrong, and was not",
    Verdict.WORSE: "a count rose, an error grew, or a result is no more",
    Verdict.SLOWER: "the time rose by more than the threshold",
    Verdict.GONE: "the case is in BASE alone",
    Verdict.AMBIGUOUS: "what was measured does not tell",
    Verdict.NEW: "the case is in NEW alone",
    Verdict.FIXED: "the result is right, and was wrong or failed",
    Verdict.BETTER: "a count or an error fell, or there is a result where there was none",
    Verdict.FASTER: "the time fell by more than the threshold",
    Verdict.SAME: "nothing moved by more than its threshold",
}
_GRAVITY = {verdict: rank for rank, verdict in enumerate(Verdict)}

FINE, REGRESSION, BECAME_WRONG = 0, 1, 4


class Gate(StrEnum):
    """What a finding is about, in the order in which it is told."""

    ACCURACY = "accuracy"
    COUNTS = "counts"
    TIME = "time"


class NothingToCompareError(JacstratError):
    """Two sets of records have no case with a result in common; the message says which of it is missing."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one gate says of one case.

    Fields:
        gate: Which.
        verdict: What it says.
        measure: The column that it is about, such as "aten_ops"; "" where it is about the case as a whole.
        base, new: The values of that column; None where there is none.
        ratio: new over base; of times with the ends of its 95 % interval, low and high.
        reason: In words, one line.
        regression: It makes the exit code 1. An advisory verdict does not, nor what another version of torch explains.
    """

    gate: Gate
    verdict: Verdict
    measure: str = ""
    base: float | None = None
    new: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""
    regression: bool = False


@dataclass(frozen=True)
class CaseVerdict:
    """A case and what the gates found, all that is not SAME, and the finding on its time where there is one."""

    case: str
    findings: tuple[Finding, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The gravest finding; SAME where there is none."""
        return min((finding.verdict for finding in self.findings), key=_GRAVITY.__getitem__, default=Verdict.SAME)

    @property
    def regression(self) -> bool:
        """A finding makes the exit code 1."""
        return any(finding.regression for finding in self.findings)

    @property
    def time(self) -> Finding | None:
        """The finding on its time."""
        return next((finding for finding in self.findings if finding.gate is Gate.TIME), None)

    @property
    def reason(self) -> str:
        """Why, the gravest first; empty where it is SAME."""
        findings = sorted(
            (f for f in self.findings if f.verdict is not Verdict.SAME), key=lambda f: _GRAVITY[f.verdict]
        )
        return "; ".join(finding.reason for finding in findings if finding.reason)


@dataclass(frozen=True)
class Comparison:
    """All cases of two sets of records.

    Fields:
        base, new: What was compared, as the user named it.
        cases: Sorted by `compare.records`: in the order of BASE, then those that are NEW.
        notes: What holds for all of it, a line each: environments that differ, times that were left out.
    """

    base: str
    new: str
    cases: tuple[CaseVerdict, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How many cases have each verdict, the gravest first, those that occur."""
        counter = Counter(case.verdict for case in self.cases)
        return {verdict: counter[verdict] for verdict in Verdict if counter[verdict]}

    @property
    def regressions(self) -> tuple[CaseVerdict, ...]:
        """The cases that make the exit code what it is."""
        return tuple(case for case in self.cases if case.regression or case.verdict is Verdict.WRONG)

    @property
    def exit_code(self) -> int:
        """4 where a result became wrong, else 1 where there is a regression, else 0."""
        if any(case.verdict is Verdict.WRONG for case in self.cases):
            return BECAME_WRONG
        return REGRESSION if any(case.regression for case in self.cases) else FINE
