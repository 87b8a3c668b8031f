"""What a child says of a cell: what its own code gives comes back as it was, all else is one of a few errors."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.core.case import FLOOR, F
from jacstrat.harness.advise import _parse
from jacstrat.harness.cell.messages import check, record_of
from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.predict import Forecast, Prediction
from jacstrat.record import Record
from jacstrat.report.analysis.advice import FunctionFacts

CELL = Cell("sin", "divergence", 3, 2, "float64", "cpu", "evaluate", 1, 0, ("identity", "jvp:chunk_size=2"))
CASE = CELL.cases[1]
RECORD = Record.of(
    CASE, "ok", median_s=1e-5, samples=7, exact=True, coverage=1, energy_j=math.inf, stop_reason="precise"
)
MESSAGES = [
    Outcome(CASE.key, RECORD, {"seconds": [0.1, 1e-300], "dropped": {"3": ["hot"]}}),
    Outcome(CELL.case(F).key, None, {"seconds": []}),
    Outcome(CELL.case(FLOOR).key, None, None),
    Outcome.of(CELL.cases[0], "error", "\udcff \x1b"),
]
REFUSED = (ValueError, TypeError, KeyError, AttributeError)


def through_json(message) -> object:
    return json.loads(json.dumps(message.to_data()))


@pytest.mark.parametrize("message", MESSAGES)
def test_an_outcome_comes_back_as_it_was(message: Outcome) -> None:
    assert Outcome.parse(CELL, through_json(message)) == message


@pytest.mark.parametrize(
    "message",
    [
        Forecast(CASE, Prediction(10, 20, 30)),
        Forecast(CASE, Prediction(10, reason="a bound"), "beyond"),
        Forecast(CASE, Prediction(reason="it raises")),
    ],
)
def test_a_forecast_comes_back_as_it_was(message: Forecast) -> None:
    assert Forecast.parse(CELL, through_json(message)) == message


def test_evidence_comes_back_as_it_was_among_outcomes() -> None:
    evidence = FunctionFacts("diagonal", proved=True, chosen="ones", reason="why")
    assert _parse(CELL, through_json(evidence)) == evidence
    assert _parse(CELL, through_json(MESSAGES[0])) == MESSAGES[0]


@pytest.mark.parametrize(
    "change",
    [
        {"case": replace(CASE, n=4).key},
        {"n": 4},
        {"strategy": "identity"},
        {"problem": "cos"},
        {"status": "fine"},
        {"status": None},
        {"median_s": "1"},
        {"median_s": True},
        {"samples": 1.5},
        {"exact": 1},
        {"reason": 7},
        {"reason": None},
        {"no_column": 1},
    ],
)
def test_a_row_of_another_case_or_of_another_kind_is_none(change) -> None:
    assert record_of(CASE, asdict(RECORD)) == RECORD
    with pytest.raises(REFUSED):
        record_of(CASE, asdict(RECORD) | change)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(CASE.key),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["case", "record", "samples", "skip", "reason", "evidence", "x"]), inner)
    ),
    max_leaves=8,
)


@given(data=anything)
def test_what_is_no_message_is_refused_in_one_of_a_few_ways(data) -> None:
    for parse in (Outcome.parse, Forecast.parse, _parse):
        try:
            message = parse(CELL, data)
        except REFUSED:
            continue
        assert message.settles in (None, *CELL.strategies)


def test_a_whole_number_is_a_float_and_a_truth_value_is_no_number() -> None:
    assert check(1, float) == 1
    for value, kind in ((True, int), (True, float), (1, bool), (1.0, int), ("1", int), (None, str)):
        with pytest.raises(TypeError):
            check(value, kind)
