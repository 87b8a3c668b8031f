"""Every case by exact strategies: right, or refused with a reason; and `auto` refuses none but those named here.

Each is tried with `auto`, for its value or for its gradient, and with an eighth of the others, see `tests/share.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cases.child import Child
from tests.cases.table import CASES

VALUE, GRADIENT = "value", "gradient"
# What `auto` refuses, and why that is right.
REFUSED_BY_AUTO = {
    "norm_at_zero": ((VALUE, GRADIENT), "reverse mode gives nan: edges are torch's own conventions"),
    "sinc_at_zero": ((VALUE, GRADIENT), "reverse mode gives nan: edges are torch's own conventions"),
    "polar_at_origin": ((VALUE, GRADIENT), "reverse mode gives nan: edges are torch's own conventions"),
    "sinc_field_at_zero": ((GRADIENT,), "reverse mode gives nan: edges are torch's own conventions"),
    "steps_without_rules": ((VALUE, GRADIENT), "torch has no derivative of heaviside, nor a second one of hardsigmoid"),
}

EACH = [pytest.param(case, op, id=f"{case.name}-{op}") for case in CASES.values() for op in case.operators]


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    child = Child()
    yield child
    child.close()


@pytest.mark.long(but_one_in=7)
@pytest.mark.parametrize(("case", "operator"), EACH)
def test_strategies_are_right_or_refuse(child, case, operator) -> None:
    seen = child.judge(case, operator)
    faults = [str(one) for one in seen if one.kind == "fault"]
    allowed, _ = REFUSED_BY_AUTO.get(case.name, ((), ""))
    for one in seen:
        if one.strategy == "auto" and (one.kind == "refused") != (one.what in allowed) and one.kind != "fault":
            faults.append(str(one) if one.kind == "refused" else f"{one} is served now: take it out of the table here")
    assert not faults, "\n".join([f"{case.name}: {case.why} ({case.source})", *faults])


def test_exceptions_are_names_of_cases() -> None:
    assert set(REFUSED_BY_AUTO) <= set(CASES)


@pytest.mark.long
def test_a_case_that_ends_the_process_is_a_fault_and_takes_no_other_with_it() -> None:
    child, case = Child(), CASES["branch"]
    try:
        child.kill()
        (seen,) = child.judge(case, "divergence")
        assert seen.kind == "fault"
        assert "ends the process, exit code -9" in seen.detail
        assert len(child.judge(case, "divergence")) > 1
    finally:
        child.close()
