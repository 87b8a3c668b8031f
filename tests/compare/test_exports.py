"""What programs read: JSON and JUnit's XML."""

from __future__ import annotations

import json
import math
from xml.etree import ElementTree

from jacstrat.compare.comparison import compare
from jacstrat.compare.exports import VERSION, to_json, to_junit
from jacstrat.compare.verdict import CaseVerdict, Comparison, Finding, Gate, Verdict

from .conftest import changed, records_of, side_of


def some() -> Comparison:
    base = records_of()
    new = changed(changed(base, status="wrong", reason="off by <1>"), 4, aten_ops=60)
    return compare(side_of(base, "OLD"), side_of(new[1:]))


def test_json_has_everything() -> None:
    comparison = some()
    found = json.loads(to_json(comparison))
    assert (found["version"], found["base"], found["new"], found["exit_code"]) == (VERSION, "OLD", "NEW", 4)
    assert found["verdicts"] == {"WRONG": 1, "WORSE": 1, "GONE": 1, "SAME": 7}
    assert found["conclusion"] == "1 result became wrong, 1 case more is a regression."
    assert [case["case"] for case in found["cases"]] == [case.case for case in comparison.cases]
    worse = next(case for case in found["cases"] if case["verdict"] == "WORSE")
    assert worse["regression"] is True
    assert worse["findings"] == [
        {
            "gate": "counts",
            "verdict": "WORSE",
            "measure": "aten_ops",
            "base": 52,
            "new": 60,
            "ratio": 60 / 52,
            "low": None,
            "high": None,
            "reason": "aten_ops 52 -> 60 (+15.4%)",
            "regression": True,
        }
    ]


def test_json_has_no_number_that_is_none() -> None:
    finding = Finding(gate=Gate.ACCURACY, verdict=Verdict.WORSE, base=1e-16, new=math.inf, ratio=math.inf)
    found = json.loads(to_json(Comparison("a", "b", (CaseVerdict("c", (finding,)),))))
    assert found["cases"][0]["findings"][0]["new"] is None


def test_junit_has_a_test_a_case() -> None:
    comparison = some()
    suites = ElementTree.fromstring(to_junit(comparison))
    (suite,) = suites
    assert suites.attrib == {"tests": "10", "failures": "2", "errors": "0", "skipped": "1"}
    assert {name: suite.attrib[name] for name in suites.attrib} == suites.attrib
    tests = {test.attrib["name"]: test for test in suite.iter("testcase")}
    assert list(tests) == [case.case for case in comparison.cases]
    for case in comparison.cases:
        failure = tests[case.case].find("failure")
        assert (failure is not None) == (case in comparison.regressions)
        if failure is not None:
            assert (failure.attrib["type"], failure.attrib["message"]) == (case.verdict, case.reason)
    assert len(list(suite.iter("skipped"))) == 1
    assert "times are left out" in suite.find("system-out").text


def test_junit_of_signs_that_xml_has_not() -> None:
    finding = Finding(gate=Gate.ACCURACY, verdict=Verdict.AMBIGUOUS, reason='a\x00b\x1b["<&>')
    text = to_junit(Comparison("a", "b", (CaseVerdict("na\x07me", (finding,)),)))
    (test,) = ElementTree.fromstring(text).iter("testcase")
    assert test.attrib["name"] == "na\ufffdme"
    assert test.find("system-out").text == 'AMBIGUOUS: a\ufffdb\ufffd["<&>'
