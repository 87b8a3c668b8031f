"""The script: its table, its exit codes, its files, and the page that tells of it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from bench.checks import program
from bench.checks.figure import Figure, table

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("value", "at_least", "met"),
    [(0.3, False, True), (0.31, False, False), (0.3, True, True), (0.29, True, False)],
)
def test_a_figure_on_its_target_meets_it(value: float, at_least: bool, met: bool) -> None:
    assert Figure("a", "b", value, 0.3, at_least=at_least).met is met


@pytest.mark.parametrize("at_least", [True, False])
def test_what_is_no_number_meets_nothing(at_least: bool) -> None:
    assert not Figure("a", "b", math.nan, 0.3, at_least=at_least).met


def test_the_table_is_markdown_with_units_and_notes() -> None:
    figures = [
        Figure("known", "error", 0.0123, 0.03, "%", note="of 10 | 20"),
        Figure("aa", "a|b", 0.88, 0.9, "%", at_least=True),
        Figure("isolation", "child", 0.0451, 0.06, "ms"),
    ]
    assert table(figures) == (
        "| check | what | target | measured |  |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| known | error | at most 3 % | 1.23 % | met |\n"
        "| aa | a\\|b | at least 90 % | 88 % | **missed** |\n"
        "| isolation | child | at most 60 ms | 45.1 ms | met |\n"
        "\n"
        "- known, error: of 10 | 20\n"
    )


class TestProgram:
    @pytest.fixture(autouse=True)
    def _stub(self, monkeypatch) -> None:
        met, missed = Figure("known", "error", 0.01, 0.03, "%"), Figure("aa", "coverage", 0.5, 0.9, "%", at_least=True)
        self.asked = []

        def check(figure: Figure):
            return lambda quick: self.asked.append((figure.check, quick)) or [figure]

        monkeypatch.setattr(program, "CHECKS", {"known": check(met), "aa": check(missed)})

    def run(self, *arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            program.main(arguments)
        return ended.value.code

    def test_the_exit_code_is_0_where_all_that_ran_was_met(self, capsys) -> None:
        assert self.run("known") == 0
        assert "| known | error | at most 3 % | 1 % | met |" in capsys.readouterr().out
        assert self.asked == [("known", False)]

    def test_one_missed_target_makes_it_1_and_nothing_is_left_out(self, capsys) -> None:
        assert self.run("--quick") == 1
        out = capsys.readouterr().out
        assert "| aa | coverage | at least 90 % | 50 % | **missed** |" in out
        assert "| known |" in out
        assert out.startswith(program.QUICK)
        assert self.asked == [("known", True), ("aa", True)]

    def test_the_figures_and_the_machine_are_written(self, tmp_path) -> None:
        assert self.run("aa", "--out", str(tmp_path / "a.json")) == 1
        found = json.loads((tmp_path / "a.json").read_text())
        assert found["figures"] == [
            {
                "check": "aa",
                "what": "coverage",
                "value": 0.5,
                "target": 0.9,
                "unit": "%",
                "at_least": True,
                "note": "",
                "met": False,
            }
        ]
        assert found["quick"] is False
        assert found["environment"]["torch"]["threads"] == 1
        assert found["environment"]["end"] is not None

    def test_an_unknown_check_is_a_wrong_use(self, capsys) -> None:
        assert self.run("unknown") == 2
        assert "invalid choice: 'unknown'" in capsys.readouterr().err

    def test_the_machine_is_one_line(self) -> None:
        from jacstrat.measure.environment import snapshot

        line = program.essentials(snapshot()).splitlines()[0]
        assert f"Python CPython {sys.version.split()[0]}" in line
        assert "with 1 threads" in line


def test_the_script_finds_its_checks_from_anywhere(tmp_path) -> None:
    script = [sys.executable, str(ROOT / "bench" / "measuring.py"), "--help"]
    told = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "{known,aa,isolation,kill,kills,hostile,places,dask,kills_rev,phases,planned,all}" in told


def test_the_document_has_a_row_for_each_check() -> None:
    text = (ROOT / "docs" / "measuring.md").read_text(encoding="utf-8")
    table = text[text.index("## How it is checked") :]
    for name in program.CHECKS:
        assert f"`bench/measuring.py {name}`" in table, name
