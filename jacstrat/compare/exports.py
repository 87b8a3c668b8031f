"""A comparison for programs: JSON, and JUnit's XML, which CI servers show as tests."""

from __future__ import annotations

import math
import re
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

from jacstrat.compare.verdict import CaseVerdict, Comparison, Finding, Gate, Verdict
from jacstrat.compare.wording import conclusion
from jacstrat.core.plain import show_json
from jacstrat.core.text import printable

VERSION = 1
"""Of the form of the JSON."""
# What XML 1.0 has no way to hold.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_json(comparison: Comparison) -> str:
    """All cases with all findings. A number that is none, as an error that is infinite, is null."""
    content = {
        "version": VERSION,
        "base": comparison.base,
        "new": comparison.new,
        "exit_code": comparison.exit_code,
        "conclusion": conclusion(comparison),
        "verdicts": {str(verdict): count for verdict, count in comparison.counts.items()},
        "notes": list(comparison.notes),
        "cases": [_case(case) for case in comparison.cases],
    }
    return show_json(content, indent=1)


def _case(case: CaseVerdict) -> dict[str, Any]:
    return {
        "case": case.case,
        "verdict": str(case.verdict),
        "regression": case.regression or case.verdict is Verdict.WRONG,
        "findings": [_finding(finding) for finding in case.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {name: _plain(value) for name, value in asdict(finding).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Gate | Verdict):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_junit(comparison: Comparison) -> str:
    """A test a case: a failure where it is a regression, skipped where one side lacks it."""
    failed = len(comparison.regressions)
    skipped = sum(_lacks(case) for case in comparison.cases)
    numbers = {"tests": str(len(comparison.cases)), "failures": str(failed), "errors": "0", "skipped": str(skipped)}
    suites = ElementTree.Element("testsuites", numbers)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "jacstrat compare", **numbers})
    for case in comparison.cases:
        test = ElementTree.SubElement(
            suite, "testcase", {"classname": "jacstrat.compare", "name": _clean(case.case), "time": "0"}
        )
        if case.regression or case.verdict is Verdict.WRONG:
            message = _clean(case.reason)
            failure = ElementTree.SubElement(test, "failure", {"type": str(case.verdict), "message": message})
            failure.text = message
        elif _lacks(case):
            ElementTree.SubElement(test, "skipped", {"message": _clean(f"{case.verdict}: {case.reason}")})
        elif case.verdict is not Verdict.SAME:
            ElementTree.SubElement(test, "system-out").text = _clean(f"{case.verdict}: {case.reason}")
    if comparison.notes:
        ElementTree.SubElement(suite, "system-out").text = _clean("\n".join(comparison.notes))
    ElementTree.indent(suites, " ")
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _lacks(case: CaseVerdict) -> bool:
    return case.verdict in (Verdict.GONE, Verdict.NEW) and not case.regression


def _clean(text: str) -> str:
    allowed = _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
    return "\n".join(map(printable, allowed.split("\n")))
