"""The row of a case: every column comes back whatever it holds, and rows of every older schema are read."""

import csv
from dataclasses import asdict, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jacstrat.core.case import KEY
from jacstrat.record import COLUMNS, SCHEMA, TABLE, TYPES, Record
from jacstrat.records import RECORDS, read_records
from jacstrat.table import Column
from tests.rows import BARE, message_of, rows_of, spoilt, write

OPTIONAL = [column.name for column in fields(Record) if column.default is None]

# Text of one line: line ends and other control characters are no part of a name or a reason.
texts = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")))


def values(column: Column) -> st.SearchStrategy[Any]:
    """Anything that the column may hold."""
    low, high = column.domain.low, column.domain.high
    return {
        str: st.sampled_from(column.domain.choices) if column.domain.choices else texts,
        int: st.integers(int(max(low, -(2**63))), int(min(high, 2**63 - 1))),
        float: st.floats(low, high, allow_nan=False),
        bool: st.booleans(),
    }[column.kind]


@st.composite
def written(draw: st.DrawFn) -> Record:
    """A record with anything in every field, present or not."""
    chosen: dict[str, Any] = {name: draw(values(column)) for name, column in TABLE.items()}
    missing = draw(st.sets(st.sampled_from(OPTIONAL)))
    fixed = {"case": draw(texts.filter(bool)), "schema": SCHEMA}
    return Record(**{**chosen, **dict.fromkeys(missing), **fixed})


@settings(max_examples=20)
@given(st.lists(written(), min_size=1, max_size=4))
def test_every_field_comes_back(records: list[Record]) -> None:
    with TemporaryDirectory() as directory:
        write(Path(directory), records)
        assert rows_of(read_records(directory)) == [asdict(record) for record in records]


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


def test_a_later_schema(tmp_path: Path) -> None:
    file = spoilt(tmp_path, "schema", "99")
    assert message_of(file) == (
        f"{file} has schema 99, this version reads schemas 1 to {SCHEMA}; a later jacstrat wrote it"
    )


SCHEMAS = sorted((Path(__file__).parent / "schemas").glob("*.csv"))
"""Rows as jacstrat wrote them in each form that records have had: schema-NUMBER-COLUMNS.csv."""


def test_there_is_a_file_of_every_older_schema() -> None:
    assert {int(file.name.split("-")[1]) for file in SCHEMAS} >= {*range(1, SCHEMA)}


@pytest.mark.parametrize("file", SCHEMAS, ids=lambda file: file.stem)
def test_records_of_every_schema_are_read(file: Path) -> None:
    header, *rows = csv.reader(file.read_text(encoding="utf-8").splitlines())
    frame = read_records(file)
    assert list(frame) == list(COLUMNS)
    assert len(frame) == len(rows) >= 2
    for name, kind in TYPES.items():
        if name == "cause":  # schemas before 6 tell it in words
            continue
        cells = [row[header.index(name)] for row in rows] if name in header else [""] * len(rows)
        expected = [kind(cell) if kind is not bool else cell == "True" for cell in cells if cell or kind is str]
        assert list(frame[name].dropna()) == expected, name
    assert {str(schema) for schema in frame["schema"]} == {file.stem.split("-")[1]}


@pytest.mark.long(but_one_in=3)
@pytest.mark.parametrize("file", SCHEMAS, ids=lambda file: file.stem)
def test_a_file_of_every_schema_is_gone_on_with_in_the_columns_of_today(tmp_path: Path, file: Path) -> None:
    before = read_records(file)
    (tmp_path / RECORDS).write_bytes(file.read_bytes())
    write(tmp_path, [replace(BARE, n=8, reference_error=0.25)])
    assert (tmp_path / RECORDS).read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)
    after = read_records(tmp_path)
    pd.testing.assert_frame_equal(after.iloc[:-1], before)
    assert (after["n"].iloc[-1], after["reference_error"].iloc[-1], after["schema"].iloc[-1]) == (8, 0.25, SCHEMA)


def test_the_cause_of_a_row_before_schema_6_is_told_by_its_reason() -> None:
    frame = read_records(Path(__file__).parent / "schemas" / "schema-5-68.csv")
    found = {(row.strategy, row.n): row.cause for row in frame.itertuples()}
    assert {key: cause for key, cause in found.items() if cause} == {
        ("jacrev", 1024): "memory",
        ("jacrev", 2048): "after_memory",
        ("vmap", 2048): "after_oom",
    }


@pytest.mark.parametrize(
    ("status", "reason", "cause"),
    [
        ("skipped", "timeout at n = 8: no end after 2 s", "after_timeout"),
        ("skipped", "device cuda is not available; here: cpu", ""),
        ("error", "predicted peak of nothing, says f", ""),
        ("skipped", "", ""),
    ],
)
def test_no_other_row_before_schema_6_has_a_cause(tmp_path: Path, status: str, reason: str, cause: str) -> None:
    write(tmp_path, [replace(BARE, status=status, reason=reason)])
    file = tmp_path / RECORDS
    pd.read_csv(file, dtype="string").drop(columns="cause").to_csv(file, index=False)
    assert list(read_records(file)["cause"]) == [cause]
