"""Two commands compare: the older spelling of one, and options that the other has."""

from __future__ import annotations

import re

import pytest
import typer

from jacstrat.cli import app
from jacstrat.cli.spelling import COMPARE, COMPARE_REV, current, options_of

COMMANDS = typer.main.get_group(typer_instance=app).commands


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["compare", "--rev", "main"], ["compare-rev", "main"]),
        (["compare", "main", "new", "--rev", "--keep", "x"], ["compare-rev", "main", "new", "--keep", "x"]),
        (["compare", "--rev", "--", "-x"], ["compare-rev", "--", "-x"]),
        (["compare", "--rev", "--help"], ["compare-rev", "--help"]),
        (["compare", "a", "--", "--rev"], ["compare", "a", "--", "--rev"]),
        (["compare", "a", "b"], ["compare", "a", "b"]),
        (["run", "--rev"], ["run", "--rev"]),
        (["compare-rev", "--rev"], ["compare-rev", "--rev"]),
        ([], []),
    ],
)
def test_compare_with_rev_is_compare_rev(words: list[str], expected: list[str]) -> None:
    assert current(words) == expected


def test_a_command_measures_or_reads() -> None:
    reads, measures = (options_of(COMMANDS[name]) for name in (COMPARE, COMPARE_REV))
    assert reads - measures == {"--strict-time", "--same-cases", "--baseline", "--update-baseline"}
    assert {"--problem", "-n", "--keep", "--sweep"} <= measures - reads


def test_no_help_has_words_in_brackets_which_the_terminal_takes_for_a_style() -> None:
    for command in COMMANDS.values():
        for parameter in command.params:
            assert not re.search(r"\[[a-z]", parameter.help or ""), (command.name, parameter.name)
