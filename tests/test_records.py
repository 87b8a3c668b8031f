import json
import math
from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jacstrat.core.case import KEY
from jacstrat.core.errors import UsageError
from jacstrat.core.status import STATUSES
from jacstrat.records import (
    ADDED,
    COLUMNS,
    RECORDS,
    SAMPLES,
    SCHEMA,
    TYPES,
    Record,
    RecordWriter,
    read_records,
    read_samples,
    write_frame,
)

OPTIONAL = [column.name for column in fields(Record) if column.default is None]
BARE = Record(
    case="sin/divergence/vmap/4",
    problem="sin",
    operator="divergence",
    strategy="vmap",
    n=4,
    batch=1,
    dtype="float64",
    device="cpu",
    workload="evaluate",
    threads=1,
    seed=0,
    status="timeout",
)

# Text of one line: line ends and other control characters are no part of a name or a reason.
texts = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")))
values = {
    str: texts,
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
}


@st.composite
def written(draw: st.DrawFn) -> Record:
    """A record with anything in every field, present or not."""
    chosen: dict[str, Any] = {name: draw(values[kind]) for name, kind in TYPES.items()}
    missing = draw(st.sets(st.sampled_from(OPTIONAL)))
    fixed = {"status": draw(st.sampled_from(list(STATUSES))), "schema": SCHEMA}
    return Record(**{**chosen, **dict.fromkeys(missing), **fixed})


def write(directory: Path, records: Iterable[Record]) -> None:
    with RecordWriter(directory) as writer:
        for record in records:
            writer.write(record)


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {name: None if pd.isna(value) else value for name, value in row.items()} for row in frame.to_dict("records")
    ]


@settings(max_examples=40)
@given(st.lists(written(), min_size=1, max_size=4))
def test_every_field_comes_back(records: list[Record]) -> None:
    with TemporaryDirectory() as directory:
        write(Path(directory), records)
        assert rows_of(read_records(directory)) == [asdict(record) for record in records]


@pytest.mark.parametrize("text", ["", " ", "a,b", 'say "no"', "NA", "nan", "None", "0", "größe", "[red]x", "漢字"])
def test_text_is_text(tmp_path: Path, text: str) -> None:
    write(tmp_path, [replace(BARE, reason=text, problem=text)])
    frame = read_records(tmp_path)
    assert (frame["reason"][0], frame["problem"][0]) == (text, text)


def test_an_infinite_error_stays_infinite(tmp_path: Path) -> None:
    write(tmp_path, [replace(BARE, rel_error=math.inf)])
    assert read_records(tmp_path)["rel_error"][0] == math.inf


def test_what_was_not_measured_is_an_empty_cell(tmp_path: Path) -> None:
    write(tmp_path, [BARE])
    header, row = (tmp_path / RECORDS).read_text(encoding="utf-8").splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=True))
    assert {cells[name] for name in OPTIONAL} == {""}
    assert "0" not in {cells[name] for name in cells if name not in KEY}
    assert read_records(tmp_path)[OPTIONAL].isna().all(axis=None)


def test_measured_zeros_are_not_empty(tmp_path: Path) -> None:
    write(tmp_path, [replace(BARE, rel_error=0.0, peak_bytes=0, exact=False)])
    (row,) = rows_of(read_records(tmp_path))
    assert (row["rel_error"], row["peak_bytes"], row["exact"]) == (0.0, 0, False)


def test_columns_have_types_whatever_they_hold(tmp_path: Path) -> None:
    write(tmp_path, [BARE])
    types = read_records(tmp_path).dtypes
    assert [str(types[name]) for name in ("n", "median_s", "exact", "status")] == [
        "Int64",
        "Float64",
        "boolean",
        "string",
    ]


def test_the_header_is_the_columns_and_every_one_is_explained(tmp_path: Path) -> None:
    write(tmp_path, [])
    assert (tmp_path / RECORDS).read_text(encoding="utf-8") == ",".join(COLUMNS) + "\n"
    assert all(COLUMNS.values())
    assert set(KEY) < set(COLUMNS)


def test_a_run_without_rows_is_an_empty_frame(tmp_path: Path) -> None:
    write(tmp_path, [])
    frame = read_records(tmp_path)
    assert (len(frame), list(frame)) == (0, list(COLUMNS))


def test_appending_does_not_repeat_the_header(tmp_path: Path) -> None:
    write(tmp_path, [BARE])
    write(tmp_path, [replace(BARE, n=8)])
    lines = (tmp_path / RECORDS).read_text(encoding="utf-8").splitlines()
    assert [line.startswith("case,") for line in lines] == [True, False, False]
    assert list(read_records(tmp_path)["n"]) == [4, 8]


def test_a_row_is_on_disk_when_it_is_written(tmp_path: Path) -> None:
    with RecordWriter(tmp_path) as writer:
        writer.write(BARE)
        assert len(read_records(tmp_path)) == 1


def test_a_file_is_read_as_its_directory_is(tmp_path: Path) -> None:
    write(tmp_path, [BARE])
    pd.testing.assert_frame_equal(read_records(tmp_path / RECORDS), read_records(str(tmp_path)))


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, [BARE, replace(BARE, n=8)])
    file = tmp_path / RECORDS
    file.write_bytes(file.read_bytes()[:-20])
    assert list(read_records(tmp_path)["n"]) == [4]


def spoilt(directory: Path, column: str, text: str) -> Path:
    """A file whose one row holds another text in a column."""
    write(directory, [BARE])
    file = directory / RECORDS
    header, row = file.read_text(encoding="utf-8").splitlines()
    cells = row.split(",")
    cells[header.split(",").index(column)] = text
    file.write_text(f"{header}\n{','.join(cells)}\n", encoding="utf-8")
    return file


def message_of(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_records(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_missing_file(tmp_path: Path) -> None:
    expected = f"{tmp_path / RECORDS} does not exist; `jacstrat run --out {tmp_path}` writes it"
    assert message_of(tmp_path) == expected
    assert message_of(tmp_path / RECORDS) == expected


def test_an_empty_file(tmp_path: Path) -> None:
    file = tmp_path / RECORDS
    file.touch()
    assert message_of(tmp_path).startswith(f"{file} is not a table of records: ")


@pytest.mark.parametrize("content", [b"\xff\xfe\n", b"a,b\n1,2,3,4\n1\n"])
def test_a_file_that_is_no_table(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / RECORDS
    file.write_bytes(content)
    assert message_of(file).startswith(f"{file} ")


def test_missing_columns(tmp_path: Path) -> None:
    write(tmp_path, [BARE])
    file = tmp_path / RECORDS
    frame = pd.read_csv(file)
    frame.drop(columns=["n", "median_s"]).to_csv(file, index=False)
    assert message_of(file) == f"{file} lacks the columns n, median_s; was it written by jacstrat?"


def test_another_schema(tmp_path: Path) -> None:
    file = spoilt(tmp_path, "schema", "99")
    assert message_of(file) == f"{file} has schema 99, this version reads schema {SCHEMA}, or the older 4 or 3"


def older(directory: Path) -> Path:
    """A file as schema 3 had it."""
    write(directory, [replace(BARE, rel_error=0.5, cancellation=2.0, schema=3)])
    file = directory / RECORDS
    pd.read_csv(file, dtype="string", keep_default_na=False).drop(columns=[*ADDED]).to_csv(file, index=False)
    return file


def test_an_older_schema_is_read_with_what_it_lacks_empty(tmp_path: Path) -> None:
    file = older(tmp_path)
    assert max(ADDED.values()) == SCHEMA
    frame = read_records(file)
    assert list(frame) == list(COLUMNS)
    numbers = [name for name in ADDED if TYPES[name] is not str]
    assert frame[numbers].isna().all(axis=None)
    assert list(frame["cache"]) == [""]
    (row,) = rows_of(frame)
    assert (row["rel_error"], row["cancellation"], row["schema"]) == (0.5, 2.0, 3)
    # As a table that was merged, too.
    parquet = tmp_path / "records.parquet"
    write_frame(frame.drop(columns=[*ADDED]), parquet)
    pd.testing.assert_frame_equal(read_records(parquet), frame)


def test_an_older_file_is_gone_on_with_in_the_columns_of_today(tmp_path: Path) -> None:
    file = older(tmp_path)
    write(tmp_path, [replace(BARE, n=8, reference_error=0.25)])
    assert file.read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)
    first, second = rows_of(read_records(file))
    assert (first["rel_error"], first["reference_error"], first["schema"]) == (0.5, None, 3)
    assert (second["n"], second["reference_error"], second["schema"]) == (8, 0.25, SCHEMA)


def test_each_schema_is_read_with_the_columns_of_later_ones_empty(tmp_path: Path) -> None:
    for schema in range(3, SCHEMA):
        folder = tmp_path / str(schema)
        folder.mkdir()
        write(folder, [replace(BARE, rel_error=0.5, reference_error=0.25 if schema > 3 else None, schema=schema)])
        later = [name for name, since in ADDED.items() if since > schema]
        file = folder / RECORDS
        pd.read_csv(file, dtype="string", keep_default_na=False).drop(columns=later).to_csv(file, index=False)
        (row,) = rows_of(read_records(file))
        assert (row["rel_error"], row["reference_error"], row["schema"]) == (0.5, 0.25 if schema > 3 else None, schema)
        assert {row[name] for name in later} <= {None, ""}


def test_a_file_of_today_lacks_no_column(tmp_path: Path) -> None:
    write(tmp_path, [BARE])
    file = tmp_path / RECORDS
    pd.read_csv(file).drop(columns=[*ADDED]).to_csv(file, index=False)
    lacking = ", ".join(name for name in COLUMNS if name in ADDED)
    assert message_of(file) == f"{file} lacks the columns {lacking}; was it written by jacstrat?"


@pytest.mark.parametrize("column", ["n", "median_s", "peak_bytes"])
def test_a_number_that_is_none(tmp_path: Path, column: str) -> None:
    file = spoilt(tmp_path, column, "fast")
    message = message_of(file)
    assert message.startswith(f"{file} holds a value that its column cannot: ")
    assert "fast" in message


@pytest.mark.parametrize("text", ["yes", "true", "1"])
def test_a_truth_value_that_is_none(tmp_path: Path, text: str) -> None:
    file = spoilt(tmp_path, "exact", text)
    assert message_of(file) == (
        f"{file} holds a value that its column cannot: '{text}' is neither True nor False in exact"
    )


def test_columns_of_others_are_kept(tmp_path: Path) -> None:
    write(tmp_path, [BARE])
    file = tmp_path / RECORDS
    header, row = file.read_text(encoding="utf-8").splitlines()
    file.write_text(f"{header},host\n{row},lab\n", encoding="utf-8")
    assert list(read_records(file)["host"]) == ["lab"]


def test_samples_come_back_by_case(tmp_path: Path) -> None:
    with RecordWriter(tmp_path) as writer:
        writer.write_samples("a", {"seconds": [1.0, 2.0]})
        writer.write_samples("b", {"seconds": []})
        writer.write_samples("a", {"seconds": [3.0]})
    assert read_samples(tmp_path) == {"a": {"seconds": [3.0]}, "b": {"seconds": []}}
    assert read_samples(tmp_path / SAMPLES) == read_samples(tmp_path)


def test_samples_of_a_run_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / SAMPLES).write_text(json.dumps({"case": "a", "seconds": [1.0]}) + '\n{"case": "b", "sec', "utf-8")
    assert read_samples(tmp_path) == {"a": {"seconds": [1.0]}}


def test_without_samples_there_are_none(tmp_path: Path) -> None:
    assert read_samples(tmp_path) == {}
