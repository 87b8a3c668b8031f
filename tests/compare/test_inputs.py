"""What can be compared, and what is refused, each with its own message."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from jacstrat.compare.inputs import read_side
from jacstrat.core.environment import UNKNOWN
from jacstrat.core.errors import UsageError
from jacstrat.record import COLUMNS, SCHEMA

from .conftest import environment_of, records_of, timed


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as raised:
        read_side(path)
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_a_directory_of_a_run(written) -> None:
    records, samples = timed(records_of(), 1)
    directory = written("run", records, environment_of(), samples)
    side = read_side(directory)
    assert (side.label, side.environment.machine, side.notes) == (str(directory), "abc", ())
    assert list(side.by_case.index) == [record.case for record in records]
    assert set(side.samples) == set(samples)


def test_a_file_of_records_has_what_lies_beside_it(written) -> None:
    directory = written("run", *timed(records_of(), 1)[:1], environment_of())
    assert read_side(directory / "records.csv").environment.machine == "abc"
    other = directory / "mine.csv"
    other.write_bytes((directory / "records.csv").read_bytes())
    assert (read_side(other).environment, read_side(other).samples) == (UNKNOWN, {})


def test_the_last_row_of_a_case_counts(written) -> None:
    first, *rest = records_of()
    side = read_side(written("run", [first, *rest, *records_of(aten_ops=99)[:1]]))
    assert len(side.by_case) == 10
    assert side.by_case.at[first.case, "aten_ops"] == 99


def test_several_environments_are_told(written) -> None:
    directory = written("run", records_of(), [*environment_of(machine="old"), *environment_of()])
    assert read_side(directory).notes == (f"{directory} was measured in several environments; the last one counts",)


def test_what_is_not_there_or_empty(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none") == (
        f"{tmp_path / 'none'} does not exist; `jacstrat run --out {tmp_path / 'none'}` writes results"
    )
    assert "is empty: no run wrote it" in refusal(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    assert "has no records.csv: no run wrote it" in refusal(tmp_path)


def test_a_file_that_is_cut_off(written) -> None:
    file = written("run", records_of()) / "records.csv"
    file.write_bytes(file.read_bytes()[:-10])
    assert refusal(file.parent) == (
        f"{file} ends within a row: it was cut off, or its run was; "
        f"`jacstrat run --resume --out {file.parent}` finishes it"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not a table of records: No columns to parse from file"),
        ("hello\nworld\n", "lacks the columns problem, operator"),
        (
            f"{','.join(COLUMNS)}\n{',' * (len(COLUMNS) - 1)}{SCHEMA + 1}\n",
            f"has schema {SCHEMA + 1}, this version reads",
        ),
        (",".join(COLUMNS) + '\n"a,\n', "is not a table of records"),
    ],
)
def test_a_file_that_is_no_records(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "records.csv").write_text(content, encoding="utf-8")
    assert message in refusal(tmp_path)


@pytest.mark.parametrize("column", ["median_s", "aten_ops", "rel_error", "peak_bytes"])
@pytest.mark.parametrize("value", ["nan", "NaN"])
def test_nan_in_a_column(written, column: str, value: str) -> None:
    file = written("run", records_of()) / "records.csv"
    frame = pd.read_csv(file, dtype="string", keep_default_na=False)
    frame.loc[2, column] = value
    frame.to_csv(file, index=False)
    message = refusal(file.parent)
    assert message.startswith(f"{file}, row 4: {column} must be a ")
    assert message.endswith(f"got '{value}'; correct it, or leave the row out")


def test_samples_and_environments_that_are_none(written) -> None:
    directory = written("run", records_of(), environment_of())
    (directory / "samples.jsonl").write_text("{}\n", encoding="utf-8")
    assert f"{directory / 'samples.jsonl'}, line 1: it is no object with a case; leave the line out" in refusal(
        directory
    )
    (directory / "samples.jsonl").write_text("nonsense\n", encoding="utf-8")
    assert f"{directory / 'samples.jsonl'}, line 1: Expecting value" in refusal(directory)
    (directory / "environment.json").write_text("[{", encoding="utf-8")
    assert f"{directory / 'environment.json'} is not the environment of a run, or is cut off" in refusal(directory)
    (directory / "environment.json").write_text("{}", encoding="utf-8")
    assert "is not the environment of a run" in refusal(directory)


def benchmark_of(**changes) -> dict:
    """What pytest-benchmark writes, as far as a comparison reads it."""
    record = records_of()[0]
    info = {name: value for name in COLUMNS if (value := getattr(record, name)) is not None and name != "schema"}
    stats = {"median": 2e-5, "q1": 1.9e-5, "q3": 2.1e-5, "min": 1.8e-5, "rounds": 3, "data": [1.8e-5, 2e-5, 2.1e-5]}
    one = {"name": "test_case[x]", "extra_info": {**info, "finite": True, "cost_ratio": None}, "stats": stats}
    content = {
        "benchmarks": [one, {"name": "test_other", "extra_info": {}, "stats": stats}],
        "machine_info": {"node": "here", "jacstrat": environment_of()[0]["start"]},
        "datetime": "2026-01-02T03:04:05.678+00:00",
    }
    return {**content, **changes}


def test_a_file_of_pytest_benchmark(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    file.write_text(json.dumps(benchmark_of()), encoding="utf-8")
    side, case = read_side(file), records_of()[0].case
    assert list(side.by_case.index) == [case]
    row = side.by_case.loc[case]
    assert (row["median_s"], row["samples"], row["aten_ops"], row["status"]) == (2e-5, 3, 52, "ok")
    assert side.samples == {case: {"seconds": [1.8e-5, 2e-5, 2.1e-5]}}
    assert (side.environment.machine, side.environment.torch) == ("abc", "2.9.0+cpu")
    assert side.environment.utc == "2026-01-02T03:04:05.678+00:00"


def test_a_file_of_pytest_benchmark_from_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    for content, message in (
        (benchmark_of(benchmarks=[{"name": "a", "extra_info": {}, "stats": {}}]), "has 1 benchmarks, none of them"),
        ({"hello": 1}, "is no file of pytest-benchmark"),
        ([1], "is no file of pytest-benchmark"),
    ):
        file.write_text(json.dumps(content), encoding="utf-8")
        assert message in refusal(file)
    file.write_text('{"benchmarks": [', encoding="utf-8")
    assert "is no JSON, or is cut off" in refusal(file)
    spoilt = benchmark_of()
    spoilt["benchmarks"][0]["stats"]["median"] = float("nan")
    file.write_text(json.dumps(spoilt), encoding="utf-8")
    assert "holds a value that its column cannot: median_s of sin/divergence/identity" in refusal(file)
