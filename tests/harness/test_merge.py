"""Directories merge into one that holds each case once, says what overlapped, and refuses what conflicts."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from jacstrat import UsageError, read_records
from jacstrat.core.case import FLOOR, F
from jacstrat.harness.merge import merge
from jacstrat.harness.plan.sweep import Grid, Sweep
from jacstrat.record import Record
from jacstrat.records import RecordWriter, read_samples, write_frame

GRID = Grid(("sin", "linear"), ("divergence",), ("identity", "vmap"), n=(2, 4), batch=(1, 2), threads=(1,))
SWEEP = Sweep((GRID,))
VERSIONS = {"jacstrat": "0.1.0", "torch": "2.13.0"}


def directory(
    folder: Path, shard: str | None, packages=VERSIONS, sweep: Sweep = SWEEP, workers: bool = False, **values
) -> Path:
    """A directory as a run would leave it; `values` go into the rows."""
    sweep = replace(sweep, shard=shard)
    folder.mkdir()
    (folder / "sweep.toml").write_text(sweep.to_toml())
    told = {"packages": packages}
    session = {"start": {"packages": {"torch": "1.0"}}, "workers": {"m": told}} if workers else {"start": told}
    (folder / "environment.json").write_text(json.dumps([session]))
    measured = {"median_s": 0.1, "exact": True, "vjp_products": 2, "machine": folder.name} | values
    status = measured.pop("status", "ok")
    with RecordWriter(folder) as writer:
        for cell in sweep.cells():
            for beside in (F, FLOOR):
                writer.write_samples(cell.case(beside).key, {"from": folder.name})
            for case in cell.cases:
                writer.write_samples(case.key, {"from": folder.name})
                writer.write(Record.of(case, status, 'a, "reason"' if status != "ok" else "", **measured))
    return folder


@pytest.mark.parametrize("file_format", [None, "csv", "parquet"])
def test_shards_become_the_whole_sweep(tmp_path, file_format) -> None:
    parts = [directory(tmp_path / part, f"{part}/3") for part in "123"]
    merged = merge(parts, tmp_path / "all", file_format)
    assert (merged.rows, merged.overlapping, merged.missing) == (16, 0, 0)
    assert merged.file.name == f"records.{file_format or 'csv'}"
    frame = read_records(tmp_path / "all")
    assert sorted(frame["case"]) == sorted(case.key for cell in SWEEP.cells() for case in cell.cases)
    pd.testing.assert_frame_equal(frame, pd.concat([read_records(part) for part in parts], ignore_index=True))
    assert (tmp_path / "all" / "sweep.toml").read_text() == SWEEP.to_toml()
    assert len(json.loads((tmp_path / "all" / "environment.json").read_text())) == 3
    samples = read_samples(tmp_path / "all")
    assert samples.keys() == {key for part in parts for key in read_samples(part)}
    assert not list(tmp_path.glob("all/*.tmp"))


def test_parquet_is_taken_beyond_so_many_rows(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("jacstrat.harness.merge.MOST_CSV_ROWS", 15)
    assert merge([directory(tmp_path / "a", None)], tmp_path / "all").file == tmp_path / "all" / "records.parquet"
    assert not (tmp_path / "all" / "records.csv").exists()


def test_overlapping_directories_keep_the_first_row_and_its_samples(tmp_path) -> None:
    first, second = directory(tmp_path / "a", "1/2"), directory(tmp_path / "b", None, median_s=0.2)
    merged = merge([first, second], tmp_path / "all")
    assert (merged.rows, merged.overlapping, merged.missing) == (16, 8, 0)
    frame = read_records(tmp_path / "all").set_index("case")
    mine = read_records(first)["case"]
    assert set(frame.loc[mine, "median_s"]) == {0.1}
    assert set(frame.drop(mine)["median_s"]) == {0.2}
    samples = read_samples(tmp_path / "all")
    assert all(samples[case]["from"] == frame.loc[case, "machine"] for case in frame.index)
    assert len((tmp_path / "all" / "samples.jsonl").read_text().splitlines()) == 16 + 2 * 8


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"status": "wrong"}, "has status wrong in {b}, ok in {a}; leave one of them out"),
        ({"vjp_products": 3}, "has vjp_products 3 in {b}, 2 in {a}; leave one of them out"),
    ],
)
def test_directories_that_contradict_each_other_are_refused(tmp_path, values, message) -> None:
    a, b = directory(tmp_path / "a", "1/2"), directory(tmp_path / "b", "1/2", **values)
    with pytest.raises(UsageError, match=message.format(a=a, b=b)):
        merge([a, b], tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_a_count_that_one_of_two_lacks_is_no_contradiction(tmp_path) -> None:
    a, b = directory(tmp_path / "a", None), directory(tmp_path / "b", None, vjp_products=None)
    assert merge([a, b], tmp_path / "all").overlapping == 16


def test_what_is_missing_is_counted(tmp_path) -> None:
    assert merge([directory(tmp_path / "a", "1/2")], tmp_path / "all").missing == 8


def test_another_sweep_is_refused(tmp_path) -> None:
    a = directory(tmp_path / "a", None)
    b = directory(tmp_path / "b", None, sweep=replace(SWEEP, seed=1))
    with pytest.raises(UsageError, match=f"{b} holds another sweep than {a}: seed was 0, asked is 1; merge it apart"):
        merge([a, b], tmp_path / "all")


@pytest.mark.parametrize("workers", [False, True])
def test_another_version_is_refused(tmp_path, workers: bool) -> None:
    a = directory(tmp_path / "a", "1/2", workers=workers)
    b = directory(tmp_path / "b", "2/2", VERSIONS | {"torch": "2.12.1+cpu"}, workers=workers)
    with pytest.raises(UsageError, match=f"{b} was measured with torch 2.12.1, {a} with 2.13.0; merge them apart"):
        merge([a, b], tmp_path / "all")
    c = directory(tmp_path / "c", "2/2", VERSIONS | {"torch": "2.13.0+cu130"}, workers=workers)
    assert merge([a, c], tmp_path / "all").missing == 0


def test_other_wrong_uses(tmp_path) -> None:
    a = directory(tmp_path / "a", None)
    with pytest.raises(UsageError, match="a directory is named twice; name each once"):
        merge([a, a], tmp_path / "all")
    with pytest.raises(UsageError, match="--format must be csv or parquet, got 'xml'"):
        merge([a], tmp_path / "all", "xml")
    with pytest.raises(UsageError, match=r"a holds records already; name another with --out"):
        merge([directory(tmp_path / "b", None)], a)
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match=r"none holds no run: .*sweep.toml is missing"):
        merge([tmp_path / "none"], tmp_path / "all")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_that_is_written_reads_back(tmp_path, kind) -> None:
    a = directory(tmp_path / "a", None, status="wrong", median_s=1e-7, ulp_error=None, reference='x, "y"')
    frame = read_records(a)
    write_frame(frame, tmp_path / f"records.{kind}")
    pd.testing.assert_frame_equal(read_records(tmp_path / f"records.{kind}"), frame)
    if kind == "csv":
        assert (tmp_path / "records.csv").read_bytes() == (a / "records.csv").read_bytes()


def test_a_file_that_is_no_parquet_is_refused(tmp_path) -> None:
    (tmp_path / "records.parquet").write_bytes(b"\x80\x04K*.")
    with pytest.raises(UsageError, match=r"records.parquet is not a table of records"):
        read_records(tmp_path)


@pytest.mark.long
def test_of_ten_merges_into_one_directory_one_writes(tmp_path) -> None:
    parts = [directory(tmp_path / part, f"{part}/2") for part in "12"]

    def attempt(_: int) -> str:
        try:
            return str(merge(parts, tmp_path / "all").rows)
        except UsageError as error:
            return str(error)

    with ThreadPoolExecutor(10) as pool:
        said = Counter(pool.map(attempt, range(10)))
    assert said.pop("16") == 1
    out = tmp_path / "all"
    assert said.keys() <= {
        f"{out} is in use by another run; name another with --out",
        f"{out} holds records already; name another with --out",
    }
    assert len(read_records(out)) == 16


def test_samples_that_are_none_are_named(tmp_path) -> None:
    parts = [directory(tmp_path / part, f"{part}/2") for part in "12"]
    file = parts[1] / "samples.jsonl"
    file.write_text(file.read_text().replace('"from": "2"', '"seconds": [0]', 1))
    with pytest.raises(UsageError, match=f"{file}, line 1: seconds must be numbers from 1e-12 to 1e.09, got 0"):
        merge(parts, tmp_path / "all")
    assert not (tmp_path / "all" / "records.csv").exists()
