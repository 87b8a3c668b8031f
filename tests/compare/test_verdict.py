"""What a case and a comparison come to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.cli.app import EXIT_BECAME_WRONG, EXIT_REGRESSION
from jacstrat.compare.verdict import (
    BECAME_WRONG,
    FINE,
    MEANING,
    REGRESSION,
    CaseVerdict,
    Comparison,
    Finding,
    Gate,
    Verdict,
)


def finding(verdict: Verdict, regression: bool = False, gate: Gate = Gate.COUNTS, reason: str = "") -> Finding:
    return Finding(gate=gate, verdict=verdict, regression=regression, reason=reason)


def test_every_verdict_has_a_meaning() -> None:
    assert tuple(MEANING) == tuple(Verdict)


def test_the_command_line_ends_with_the_codes_of_the_verdicts() -> None:
    assert (FINE, REGRESSION, BECAME_WRONG) == (0, EXIT_REGRESSION, EXIT_BECAME_WRONG)


@given(st.lists(st.sampled_from(list(Verdict)), max_size=6))
def test_the_verdict_of_a_case_is_the_gravest_of_its_findings(verdicts: list[Verdict]) -> None:
    case = CaseVerdict("case", tuple(map(finding, verdicts)))
    order = list(Verdict)
    assert case.verdict is order[min(map(order.index, verdicts), default=order.index(Verdict.SAME))]


def test_a_case_tells_the_gravest_reason_first_and_none_of_what_is_the_same() -> None:
    case = CaseVerdict(
        "case",
        (
            finding(Verdict.BETTER, reason="less"),
            finding(Verdict.SAME, gate=Gate.TIME, reason="+0.1 %"),
            finding(Verdict.WRONG, reason="off by one"),
        ),
    )
    assert case.reason == "off by one; less"
    assert case.time is case.findings[1]


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([], 0),
        ([finding(Verdict.WORSE)], 0),
        ([finding(Verdict.SLOWER)], 0),
        ([finding(Verdict.BETTER), finding(Verdict.WORSE, regression=True)], 1),
        ([finding(Verdict.WRONG)], 4),
        ([finding(Verdict.WRONG), finding(Verdict.WORSE, regression=True)], 4),
    ],
)
def test_exit_codes(findings: list[Finding], code: int) -> None:
    comparison = Comparison("a", "b", (CaseVerdict("fine"), CaseVerdict("case", tuple(findings))))
    assert comparison.exit_code == code
    assert bool(comparison.regressions) == (code != 0)


def test_counts_are_in_the_order_of_gravity() -> None:
    cases = (CaseVerdict("a"), CaseVerdict("b"), CaseVerdict("c", (finding(Verdict.GONE),)))
    assert list(Comparison("a", "b", cases).counts.items()) == [(Verdict.GONE, 1), (Verdict.SAME, 2)]
