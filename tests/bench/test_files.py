"""The check of bench/files.py: what it changes, and what it takes for wrong."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from bench.checks import changes, files
from bench.checks.files import FileTrial, inside, judge, originals


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    originals(folder)
    return folder


@pytest.mark.parametrize("name", changes.CHANGES)
def test_every_change_changes_a_file_and_a_seed_gives_it_again(folder: Path, name: str) -> None:
    file = folder / "run" / name if (folder / "run" / name).exists() else folder / name
    content = file.read_bytes()
    for change in {*changes.CHANGES[name]}:
        made = [change(Random(f"{seed}"), content) for seed in range(12)]
        assert sum(other != content for other in made) >= 3, change
        if change is not changes.stored:
            assert [change(Random(f"{seed}"), content) for seed in range(12)] == made


def test_originals_are_what_commands_read(folder: Path) -> None:
    for command in (
        ("report", "--format", "json", "{run}"),
        ("compare", "{run}", "{json}"),
        ("history", "--store", "{db}"),
    ):
        places = {"run": folder / "run", "json": folder / "benchmark.json", "db": folder / "history.sqlite"}
        assert inside([part.format(**places) for part in command]) in ((0, ""), (3, ""))
    assert json.loads((folder / "benchmark.json").read_text())["benchmarks"]


def test_what_is_wrong_with_how_a_command_ends(monkeypatch) -> None:
    def ends(*said: str, code: object = 2, error: BaseException | None = None) -> str:
        def main() -> None:
            import sys

            if error is not None:
                raise error
            print(*said, file=sys.stderr, sep="\n")
            raise SystemExit(code)

        monkeypatch.setattr("jacstrat.cli.main", main)
        return inside(("report",))[1]

    assert ends("jacstrat: no") == ""
    assert ends("warning: x", "jacstrat: no") == ""
    assert "0 lines that say why" in ends("no")
    assert "2 lines that say why" in ends("jacstrat: no", "jacstrat: never")
    assert "control characters" in ends("jacstrat: \x1b[31m")
    assert ends(code=0) == ends(code=None) == ""
    assert ends(error=KeyError(0)) == "KeyError: 0"
    monkeypatch.setattr(files, "LIMIT_S", 1)
    monkeypatch.setattr("jacstrat.cli.main", lambda: [None for _ in iter(int, 1)])
    assert inside(("report",)) == (None, "TimeoutError: does not end")


def test_every_command_that_ends_otherwise_counts() -> None:
    good, bad = FileTrial("a: b", ("report",), 2, ""), FileTrial("a: b", ("report", "x"), None, "KeyError: 0")
    first, again = judge([good, bad, good], [good])
    assert (first.value, first.met, again.value, again.met) == (1, False, 0, True)
    assert first.note == "exit codes: 2 with 2, 1 with None; for one, after a: b, report x: KeyError: 0"
