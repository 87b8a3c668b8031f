import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from jacstrat.record import Record
from jacstrat.report.analysis.runs import Run
from jacstrat.report.page import cases
from jacstrat.report.page.cases import case_columns, first_rows, for_script

Make = Callable[..., Record]


def run(*records: Record, label: str = "here") -> Run:
    return Run(label, Path(label), records)


def test_columns_without_a_value_are_left_out(record: Make) -> None:
    columns = case_columns([run(record(), record(strategy="jvp"))])
    assert [column.title for column in columns] == ["problem", "strategy", "n", "status", "time"]
    assert case_columns([run()]) == ()


def test_the_run_and_what_differs_have_columns(record: Make) -> None:
    columns = case_columns([run(record()), run(record(dtype="float32"), label="there")])
    found = {column.title: column.values for column in columns}
    assert found["run"] == ("here", "there")
    assert found["case"] == ("float64", "float32")


def test_the_first_rows_are_what_the_script_would_show(record: Make) -> None:
    rows = [record(n=n, rel_error=error, status="wrong", reason="<b>") for n, error in ((1, 0.5), (2, math.inf))]
    columns = case_columns([run(*rows)])
    assert first_rows(columns)[1] == ["divergence of sin", "vmap", "2", "wrong", "10.0 µs", "inf", "<b>"]
    assert len(first_rows(columns, most=1)) == 1
    data = for_script(columns)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    error = next(column for column in data["columns"] if column["title"] == "error")
    assert error["values"] == [0.5, "inf"]
    reason = next(column for column in data["columns"] if column["title"] == "reason")
    assert (reason["texts"], reason["values"]) == (["<b>"], [0, 0])


def test_of_too_many_rows_the_telling_ones_are_kept(record: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "MOST_ROWS", 4)
    rows = [record(strategy=f"s{k}", over_fastest=k / 10) for k in (30, 20, 10)]
    rows += [record(strategy="bad", status="wrong"), record(strategy="oom", status="oom", median_s=None)]
    kept = next(column for column in case_columns([run(*rows)]) if column.title == "strategy").values
    assert kept == ("bad", "oom", "s10", "s20")
