"""samples.jsonl: what it says by case, and which line says nothing that can be computed with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jacstrat.core.errors import UsageError
from jacstrat.records import RecordWriter
from jacstrat.samples import SAMPLES, copy_samples, read_samples

LINE = {"case": "a", "session": "s", "rounds": [0, 1], "seconds": [1e-5, 2e-5]}


def write(directory: Path, *lines: object) -> Path:
    file = directory / SAMPLES
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nonsense", "Expecting value"),
        ("[" * 20_000, "it is nested too deep"),
        (3, "it is no object with a case"),
        ({"seconds": []}, "it is no object with a case"),
        ({"case": 3}, "it is no object with a case"),
        ({**LINE, "seconds": [1e-5, "fast"]}, "seconds must be numbers from 1e-12 to 1e+09, got 'fast'"),
        ({**LINE, "seconds": [1e-5, 0]}, "seconds must be numbers from 1e-12 to 1e+09, got 0"),
        ({**LINE, "seconds": [1e-5, None]}, "seconds must be numbers from 1e-12 to 1e+09, got None"),
        ({**LINE, "seconds": [1e-5, True]}, "seconds must be numbers from 1e-12 to 1e+09, got True"),
        ({**LINE, "seconds": [1e-5, float("nan")]}, "seconds must be numbers from 1e-12 to 1e+09, got nan"),
        ({**LINE, "seconds": [1e-5, 10**400]}, "seconds must be numbers from 1e-12 to 1e+09, got 1000"),
        ({**LINE, "seconds": 1e-5}, "seconds must be a list of numbers from 1e-12 to 1e+09, got 1e-05"),
        ({**LINE, "rounds": [0, 1.5]}, "rounds must be whole numbers from 0, got 1.5"),
        ({**LINE, "rounds": [0]}, "it has 1 rounds and 2 seconds"),
        ({**LINE, "session": ["s"]}, "session must be text, got ['s']"),
        ({**LINE, "dropped": 3}, "dropped must be a list, got 3"),
    ],
)
def test_a_line_that_cannot_be_computed_with_is_named(tmp_path: Path, line: object, words: str) -> None:
    file = write(tmp_path, {**LINE, "case": "b"}, line)
    for read in (lambda: read_samples(file), lambda: copy_samples(tmp_path, {"a"}, lambda line: None)):
        with pytest.raises(UsageError) as caught:
            read()
        message = str(caught.value)
        assert message.startswith(f"{file}, line 2: {words}")
        assert message.endswith("; leave the line out, or measure the case again")
        assert len(message) < 400
    # Whoever wants another case does not look at it, unless it has to be read to know whose it is.
    if isinstance(line, dict) and line.get("case") == "a":
        assert read_samples(file, {"b"}).keys() == {"b"}


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / SAMPLES).write_bytes(b'{"case": "a\xff"}\n')
    with pytest.raises(UsageError, match="line 1: it is not UTF-8 at byte 11"):
        read_samples(tmp_path)


def test_lines_are_read_whoever_wrote_them(tmp_path: Path) -> None:
    write(tmp_path, '{"seconds":[1.0],"case":"a"}', "", '{"case":"b","seconds":[2.0]}', '{"case": "a", "cut off')
    (tmp_path / SAMPLES).write_text((tmp_path / SAMPLES).read_text().rstrip("\n"), encoding="utf-8")
    assert read_samples(tmp_path) == {"a": {"seconds": [1.0]}, "b": {"seconds": [2.0]}}
    assert read_samples(tmp_path, {"a"}) == {"a": {"seconds": [1.0]}}
    assert read_samples(tmp_path, set()) == read_samples(tmp_path / "nowhere") == {}


def test_only_the_samples_asked_for_are_read_the_last_of_each(tmp_path: Path) -> None:
    with RecordWriter(tmp_path) as writer:
        for case, seconds in (("a", [1.0]), ('b"\\', [2.0]), ('b"\\', [3.0])):
            writer.write_samples(case, {"seconds": seconds})
    assert read_samples(tmp_path, {'b"\\', "c"}) == {'b"\\': {"seconds": [3.0]}}


def test_lines_are_handed_on_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, LINE, {**LINE, "case": "b"}, '{"seconds":[1.0],"case":"a"}')
    copied: list[bytes] = []
    copy_samples(tmp_path, {"a"}, copied.append)
    assert copied == [json.dumps(LINE).encode() + b"\n", b'{"seconds":[1.0],"case":"a"}\n']


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
