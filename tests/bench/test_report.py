"""The check of bench/report.py, on few records."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bench.checks.report import SECONDS, STRATEGIES, judged, write
from jacstrat.record import COLUMNS
from jacstrat.records import read_records

pytestmark = pytest.mark.long


def test_the_records_are_those_of_a_run_and_all_are_reported(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    write(directory, settings=41, sizes=1)
    frame = read_records(directory)
    assert len(frame) == 41 * STRATEGIES
    assert set(frame["status"]) == {"ok", "wrong", "timeout"}
    with (directory / "records.csv").open(newline="") as file:
        assert next(csv.reader(file)) == list(COLUMNS)
    seconds, memory = judged(directory, "a few")
    assert seconds.value > 0
    assert seconds.target == SECONDS
    assert seconds.note.startswith(f"{41 * STRATEGIES} records, a page of ")
    assert 2**26 < memory.value < 2**31


def test_a_report_that_fails_meets_no_target(tmp_path: Path) -> None:
    (tmp_path / "records.csv").write_text("no records\n")
    seconds, _ = judged(tmp_path, "none")
    assert not seconds.met
    assert seconds.note.endswith("no page")
