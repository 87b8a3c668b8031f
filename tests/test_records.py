import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from jacstrat.core.case import KEY, Case
from jacstrat.record import COLUMNS
from jacstrat.records import RECORDS, RecordWriter, read_records, to_frame, write_frame
from tests.rows import BARE, message_of, rows_of, write


@pytest.mark.parametrize("text", ["", " ", "a,b", 'say "no"', "NA", "nan", "None", "0", "größe", "[red]x", "漢字"])
def test_text_is_text(tmp_path: Path, text: str) -> None:
    write(tmp_path, [replace(BARE, reason=text, problem=text)])
    frame = read_records(tmp_path)
    assert (frame["reason"][0], frame["problem"][0]) == (text, text)


def test_an_infinite_error_stays_infinite(tmp_path: Path) -> None:
    write(tmp_path, [replace(BARE, rel_error=math.inf)])
    assert read_records(tmp_path)["rel_error"][0] == math.inf


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


def test_a_missing_file(tmp_path: Path) -> None:
    expected = f"{tmp_path / RECORDS} does not exist; `jacstrat run --out {tmp_path}` writes it"
    assert message_of(tmp_path) == expected
    assert message_of(tmp_path / RECORDS) == expected


def test_missing_columns(tmp_path: Path) -> None:
    write(tmp_path, [BARE])
    file = tmp_path / RECORDS
    frame = pd.read_csv(file)
    frame.drop(columns=["n", "status", "median_s"]).to_csv(file, index=False)
    assert message_of(file) == f"{file} lacks the columns n, status; was it written by jacstrat?"


def test_a_case_is_made_of_its_columns_where_it_is_not_there(tmp_path: Path) -> None:
    write(tmp_path, [BARE])
    file = tmp_path / RECORDS
    pd.read_csv(file).drop(columns="case").to_csv(file, index=False)
    assert list(read_records(file)["case"]) == [Case(**{name: getattr(BARE, name) for name in KEY}).key]


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
