"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jacstrat.core.whole import write_whole


def test_what_was_there_stays_where_it_cannot_be_written(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "a.txt"
    write_whole(file, "before")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space left") as raised:
        write_whole(file, "after")
    assert raised.value.filename == str(file)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


def test_the_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError) as raised:
        write_whole(tmp_path / "file" / "a.txt", "text")
    assert raised.value.filename == str(tmp_path / "file" / "a.txt")


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    kept, link = tmp_path / "kept", tmp_path / "link"
    kept.write_text("mine")
    link.symlink_to(kept)
    write_whole(link, "new")
    assert (kept.read_text(), link.read_text(), link.is_symlink()) == ("mine", "new", False)


def test_writers_at_once_leave_one_whole_text(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    texts = [letter * 200_000 for letter in "abcdefghij"]
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda text: write_whole(file, text), texts))
    assert file.read_text() in texts
    assert [*tmp_path.iterdir()] == [file]


def test_a_device_is_written_to(tmp_path: Path) -> None:
    write_whole(Path(os.devnull), "text")
    assert Path(os.devnull).is_char_device()


def test_half_a_pair_of_surrogates_is_a_question_mark(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.txt", "a\udcffb")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "a?b"
