"""Tables as people and programs write them: what is read all the same, and what is named by row and column."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from jacstrat.record import SCHEMA
from jacstrat.records import RECORDS, RecordWriter, read_records
from tests.rows import BARE, message_of, spoilt, write


def test_an_empty_file(tmp_path: Path) -> None:
    file = tmp_path / RECORDS
    file.touch()
    assert message_of(tmp_path).startswith(f"{file} is not a table of records: ")


@pytest.mark.parametrize("content", [b"\xff\xfe\n", b"a,b\n1,2,3,4\n1\n"])
def test_a_file_that_is_no_table(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / RECORDS
    file.write_bytes(content)
    assert message_of(file).startswith(f"{file} ")


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


@pytest.mark.long(but_one_in=3)
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
