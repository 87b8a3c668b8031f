import csv
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

from jacstrat.core.case import KEY, Case
from jacstrat.core.errors import UsageError
from jacstrat.record import COLUMNS, SCHEMA, TABLE, TYPES, Record
from jacstrat.records import RECORDS, SAMPLES, RecordWriter, read_records, read_samples, to_frame, write_frame
from jacstrat.table import Column

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
    frame.drop(columns=["n", "status", "median_s"]).to_csv(file, index=False)
    assert message_of(file) == f"{file} lacks the columns n, status; was it written by jacstrat?"


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


def test_a_case_is_made_of_its_columns_where_it_is_not_there(tmp_path: Path) -> None:
    write(tmp_path, [BARE])
    file = tmp_path / RECORDS
    pd.read_csv(file).drop(columns="case").to_csv(file, index=False)
    assert list(read_records(file)["case"]) == [Case(**{name: getattr(BARE, name) for name in KEY}).key]


@pytest.mark.parametrize(
    ("column", "text", "must"),
    [
        ("n", "fast", "a whole number from 1 to 2^63 - 1"),
        ("n", "-4", "a whole number from 1 to 2^63 - 1"),
        ("n", "0", "a whole number from 1 to 2^63 - 1"),
        ("n", "4.5", "a whole number from 1 to 2^63 - 1"),
        ("batch", "9223372036854775808", "a whole number from 1 to 2^63 - 1"),
        ("threads", "", "a whole number from 1 to 2^63 - 1"),
        ("peak_bytes", "1e30", "a whole number from 0 to 2^63 - 1"),
        ("peak_bytes", "1e999999999", "a whole number from 0 to 2^63 - 1"),
        ("median_s", "0", "a number from 1e-12 to 1e+09"),
        ("median_s", "5e-324", "a number from 1e-12 to 1e+09"),
        ("median_s", "1e308", "a number from 1e-12 to 1e+09"),
        ("median_s", "nan", "a number from 1e-12 to 1e+09"),
        ("cost_ratio", "0", "a number from 1e-21 to 1e+21"),
        ("rel_error", "-1e-9", "a number from 0 on"),
        ("coverage", "1.5", "a number from 0 to 1"),
        ("exact", "maybe", "True or False"),
        ("status", "fine", "one of ok, wrong, unsupported, skipped, timeout, oom, crashed, error"),
        ("status", "", "one of ok, wrong, unsupported, skipped, timeout, oom, crashed, error"),
        ("cause", "why not", "one of memory, after_memory, after_timeout, after_oom, or nothing"),
        ("schema", "three", f"a whole number from 1 to {SCHEMA}"),
    ],
)
def test_a_value_outside_its_domain_is_named_with_row_and_column(
    tmp_path: Path, column: str, text: str, must: str
) -> None:
    file = spoilt(tmp_path, column, text)
    got = f"'{text}'" if text else "an empty cell"
    assert message_of(file) == f"{file}, row 2: {column} must be {must}, got {got}; correct it, or leave the row out"


def test_what_is_long_or_moves_a_cursor_is_quoted_briefly(tmp_path: Path) -> None:
    message = message_of(spoilt(tmp_path, "n", "\x1b[31m" + "9" * 200_000))
    assert "got '\\x1b[31m9999" in message
    assert len(message) < 400


def test_a_reason_of_any_length_comes_back(tmp_path: Path) -> None:
    write(tmp_path, [replace(BARE, reason="x" * 200_000)])
    write(tmp_path, [replace(BARE, n=8)])
    assert len(read_records(tmp_path)["reason"][0]) == 200_000


def test_what_no_measurement_gives_is_not_written_as_one(tmp_path: Path) -> None:
    write(tmp_path, [replace(BARE, status="ok", median_s=0.0, min_s=-1.0, rel_error=0.5, exact=False)])
    (row,) = rows_of(read_records(tmp_path))
    assert (row["status"], row["median_s"], row["min_s"], row["rel_error"]) == ("error", None, None, 0.5)
    assert row["reason"] == (
        "median_s must be a number from 1e-12 to 1e+09, got 0.0; min_s must be a number from 1e-12 to 1e+09, got -1.0"
    )


FORMS = {
    "without the index": lambda frame, file: frame.to_csv(file, index=False),
    "with the index": lambda frame, file: frame.to_csv(file),
    "as floats": lambda frame, file: frame.astype({"n": float, "peak_bytes": "Float64"}).to_csv(file, index=False),
    "truth as numbers": lambda frame, file: frame.astype({"exact": "Int64"}).to_csv(file, index=False),
    "filtered by pandas": lambda frame, file: _by_pandas(frame, file),
    "semicolons": lambda frame, file: frame.to_csv(file, index=False, sep=";"),
    "semicolons and decimal commas": lambda frame, file: frame.to_csv(file, index=False, sep=";", decimal=","),
    "tabs": lambda frame, file: frame.to_csv(file, index=False, sep="\t"),
    "with a byte order mark": lambda frame, file: frame.to_csv(file, index=False, encoding="utf-8-sig"),
    "lines as Windows ends them": lambda frame, file: frame.to_csv(file, index=False, lineterminator="\r\n"),
    "everything quoted": lambda frame, file: frame.to_csv(file, index=False, quoting=csv.QUOTE_ALL),
    "as a spreadsheet": lambda frame, file: _by_spreadsheet(frame, file),
    "columns in another order": lambda frame, file: frame[[*frame][::-1]].to_csv(file, index=False),
    "parquet": lambda frame, file: frame.to_parquet(file.with_suffix(".parquet")),
    "parquet as floats": lambda frame, file: frame.astype({"n": float, "seed": object, "exact": object}).to_parquet(
        file.with_suffix(".parquet")
    ),
}


def _by_pandas(frame: pd.DataFrame, file: Path) -> None:
    """Written, read by pandas with its own guesses, and written again."""
    frame.to_csv(file, index=False)
    pd.read_csv(file, float_precision="round_trip").to_csv(file, index=False)


def _by_spreadsheet(frame: pd.DataFrame, file: Path) -> None:
    """Truth values in capitals, blank lines, trailing separators, whole numbers with an exponent."""
    text = frame.to_csv(index=False, lineterminator=",,\r\n").replace("True", "TRUE").replace("False", "FALSE")
    header, *rows = text.splitlines()
    rows = [row.replace(",1000000,", ",1E+06,") for row in rows]
    file.write_text("\r\n".join([header, *rows, ",,,,", "", ""]), encoding="utf-8")


@pytest.mark.parametrize("form", FORMS)
def test_a_table_that_went_through_another_program_is_the_same_table(tmp_path: Path, form: str) -> None:
    rows = [
        replace(BARE, status="ok", median_s=1.25e-5, exact=True, peak_bytes=1_000_000, machine="0a1b"),
        replace(BARE, n=8, reason='a, "b"; größe', cost_ratio=3.0),
        replace(BARE, n=16, status="wrong", rel_error=math.inf, exact=False, peak_bytes=2**53),
    ]
    write(tmp_path, rows)
    frame = read_records(tmp_path)
    file = tmp_path / "other" / RECORDS
    file.parent.mkdir()
    FORMS[form](frame, file)
    pd.testing.assert_frame_equal(read_records(file.parent), frame)
    if form in ("semicolons and decimal commas", "as a spreadsheet"):
        with RecordWriter(file.parent) as writer:
            writer.write(replace(BARE, n=32))
        pd.testing.assert_frame_equal(read_records(file.parent).iloc[:-1], frame)


def test_a_column_that_is_there_twice(tmp_path: Path) -> None:
    write(tmp_path, [BARE])
    file = tmp_path / RECORDS
    header, row = file.read_text(encoding="utf-8").splitlines()
    file.write_text(f"{header},n\n{row},5\n", encoding="utf-8")
    assert message_of(file) == f"{file} has the column n 2 times; leave one of them"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfen\x00", "is not UTF-8 at byte 0"),
        (b"a,b\n1,2,3\n", "more cells"),
        (b"x" * 200_000 + b",b\n1,2\n", "lacks the columns problem, operator"),
    ],
)
def test_a_file_in_another_form_says_which(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / RECORDS).write_bytes(content)
    assert words in message_of(tmp_path)


def test_rows_go_under_the_columns_that_are_there(tmp_path: Path) -> None:
    write(tmp_path, [BARE])
    file = tmp_path / RECORDS
    frame = pd.read_csv(file, dtype="string", keep_default_na=False)
    frame.insert(0, "host", "lab")
    frame[[*frame][::-1]].to_csv(file, index=False)
    write(tmp_path, [replace(BARE, n=8)])
    after = read_records(file)
    assert (list(after["n"]), list(after["host"])) == ([4, 8], ["lab", ""])


def test_a_file_that_is_emptied_meanwhile_has_a_header_again(tmp_path: Path) -> None:
    with RecordWriter(tmp_path) as writer:
        writer.write(BARE)
        (tmp_path / RECORDS).write_bytes(b"")
        writer.write(replace(BARE, n=8))
    assert list(read_records(tmp_path)["n"]) == [8]


def test_a_link_that_came_with_a_directory_is_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "records.csv").symlink_to(kept)
    write_frame(to_frame([BARE]), tmp_path / "run" / "records.csv")
    assert kept.read_text() == "mine"
    assert len(read_records(tmp_path / "run")) == 1


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
