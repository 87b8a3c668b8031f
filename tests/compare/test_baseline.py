"""The committed baseline, and how it is written anew."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jacstrat.compare.baseline import update_baseline
from jacstrat.compare.comparison import compare
from jacstrat.compare.inputs import read_side
from jacstrat.core.environment import ENVIRONMENT
from jacstrat.harness.cell.measuring import measure
from jacstrat.harness.plan.sweep import load_sweep
from jacstrat.record import COLUMNS, TIMED, Record
from jacstrat.records import SWEEP, read_records

from .conftest import changed, environment_of, records_of, side_of, timed

BASELINE = Path(__file__).parents[2] / "results" / "baseline"
REMEDY = "write it anew with `jacstrat compare --update-baseline`"


def test_the_baseline_is_of_the_quick_sweep() -> None:
    sweep = load_sweep("quick").override(timed=False, threads=(1,))
    assert load_sweep(str(BASELINE / SWEEP)) == sweep.pinned(), REMEDY
    keys = [case.key for cell in sweep.cells() for case in cell.cases]
    assert list(read_records(BASELINE)["case"]) == keys, REMEDY


def test_the_baseline_has_no_times() -> None:
    frame = read_records(BASELINE)
    words = ["stop_reason", "cache"]
    assert frame[[name for name in TIMED if name not in words]].isna().all(axis=None)
    assert (frame[words] == "").all(axis=None)
    assert (
        frame.loc[frame["status"] == "ok", ["vjp_products", "aten_ops", "peak_bytes", "rel_error"]]
        .notna()
        .all(axis=None)
    )


def test_two_cells_counted_here_are_as_the_baseline_has_them() -> None:
    cells = load_sweep("quick").override(threads=(1,)).cells()
    records = [outcome.record for cell in (cells[0], cells[-1]) for outcome in measure(cell, None)]
    assert all(outcome is not None for outcome in records)
    comparison = compare(read_side(BASELINE), side_of(records))
    assert [case.reason for case in comparison.regressions] == []


def test_what_is_timed_is_known() -> None:
    assert set(TIMED) <= set(COLUMNS)
    assert {name for name in COLUMNS if name.endswith("_s")} <= set(TIMED)
    (outcome,) = (o for o in measure(replace(load_sweep("quick").cells()[0], strategies=("ones",)), None))
    assert {name for name in TIMED if getattr(outcome.record, name)} == set()


def updated(directory: Path, old: list[Record] | None, new: Path) -> int:
    """Update a baseline that holds the old records."""
    after = read_side(new)
    before = None if old is None else read_side(directory)
    comparison = None if before is None else compare(before, after, same_cases=True)
    return update_baseline(directory, before, after, new, comparison)


@pytest.fixture
def base(written) -> Path:
    directory = written("baseline", records_of(), environment_of())
    (directory / "samples.jsonl").unlink()
    (directory / SWEEP).write_text("seed = 0\n")
    return directory


def test_a_new_baseline_has_counts_and_no_times(written, tmp_path: Path) -> None:
    records, samples = timed(records_of(), 1)
    new = written("new", records, environment_of(), samples)
    (new / SWEEP).write_text("seed = 0\ntimed = true\n")
    assert updated(tmp_path / "baseline", None, new) == 10
    assert (tmp_path / "baseline" / SWEEP).read_text() == "seed = 0\ntimed = false\n"
    side = read_side(tmp_path / "baseline")
    assert side.frame["median_s"].isna().all()
    assert list(side.frame["aten_ops"]) == [52] * 10
    assert {path.name for path in (tmp_path / "baseline").iterdir()} == {"records.csv", ENVIRONMENT, SWEEP}
    (session,) = json.loads((tmp_path / "baseline" / ENVIRONMENT).read_text())
    assert "checkout" not in session["start"]
    assert (side.environment.machine, side.environment.torch) == ("abc", "2.9.0+cpu")


def test_only_what_moved_is_written(base: Path, written) -> None:
    lines = (base / "records.csv").read_text().splitlines()
    moved = [replace(record, rel_error=record.rel_error * 1.5) for record in changed(records_of(), aten_ops=50)]
    new = written("new", moved, environment_of(machine="other"))
    assert updated(base, records_of(), new) == 1
    after = (base / "records.csv").read_text().splitlines()
    assert [place for place, (a, b) in enumerate(zip(lines, after, strict=True)) if a != b] == [4]
    assert read_side(base).environment.machine == "other"


def test_what_did_not_move_leaves_the_directory_alone(base: Path, written) -> None:
    before = {path.name: path.read_bytes() for path in base.iterdir()}
    new = written("new", timed(records_of(), 1)[0], environment_of(machine="other"))
    (new / SWEEP).write_text("seed = 0\nsample_s = 1\n")
    assert updated(base, records_of(), new) == 0
    assert {path.name: path.read_bytes() for path in base.iterdir()} == before


def test_cases_that_are_new_or_gone_are_written(base: Path, written) -> None:
    assert updated(base, records_of(), written("new", records_of((16, 64)), environment_of())) == 10
    assert set(read_side(base).frame["n"]) == {16, 64}


def test_another_torch_is_written_though_nothing_moved(base: Path, written) -> None:
    new = written("new", records_of(), environment_of(torch={"version": "3.0"}))
    assert updated(base, records_of(), new) == 0
    assert read_side(base).environment.torch == "3.0"
