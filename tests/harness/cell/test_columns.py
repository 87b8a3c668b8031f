"""The columns of a row, made of samples."""

from __future__ import annotations

import pytest

from jacstrat.harness.cell.measuring import measure
from jacstrat.records import by_round
from jacstrat.statistics import ratio
from tests.harness.conftest import QUICK


def test_ratios_are_those_of_the_samples_by_round(cell) -> None:
    outcomes = {o.case.split("/")[2]: o for o in measure(cell("sin", "identity", "ones"), QUICK)}
    rounds = {name: by_round(outcome.samples) for name, outcome in outcomes.items()}
    records = {name: outcome.record for name, outcome in outcomes.items() if outcome.record}
    fastest = min(records, key=lambda name: records[name].median_s)
    for name, record in records.items():
        assert record.cost_ratio == pytest.approx(ratio(rounds[name], rounds["f"]).median)
        assert record.over_fastest == pytest.approx(ratio(rounds[name], rounds[fastest]).median)
    assert records[fastest].over_fastest == 1
    # Rounds of another session were not side by side.
    other = by_round(outcomes["ones"].samples | {"session": "another"})
    assert ratio(other, rounds["f"]) is None
