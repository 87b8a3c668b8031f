"""A comparison for people: a table for the terminal, and Markdown."""

from __future__ import annotations

import re

from rich.console import Console

from jacstrat.compare.verdict import CaseVerdict, Comparison, Verdict
from jacstrat.compare.wording import CaseWords, cases_shown, conclusion, lacking, lines_of, tally
from jacstrat.core.text import printable
from jacstrat.report.analysis.sheet import Sheet, SheetColumn, sheet_of

MOST_ROWS = 200
"""Rows of a table; the number of those left out stands below it."""

_STYLES = {
    Verdict.WRONG: "bold red",
    Verdict.WORSE: "red",
    Verdict.SLOWER: "red",
    Verdict.GONE: "yellow",
    Verdict.AMBIGUOUS: "yellow",
    Verdict.FIXED: "green",
    Verdict.BETTER: "green",
    Verdict.FASTER: "green",
}


def comparison_sheet(comparison: Comparison, cases: list[CaseVerdict]) -> Sheet:
    """Some of the cases, a row each."""
    columns = [
        SheetColumn("verdict", numeric=True),
        *map(SheetColumn, ("problem", "strategy", "at")),
        SheetColumn("why", prose=True),
    ]
    lines = lines_of(comparison, cases)
    rows = [[_marked(line), line.quantity, line.strategy, line.setting, line.reason] for line in lines]
    title = f"{comparison.new} against {comparison.base}"
    return sheet_of(title, columns, rows, [_STYLES.get(line.verdict, "") for line in lines])


def _marked(line: CaseWords) -> str:
    return f"{'! ' if line.regression else ''}{line.verdict}"


def print_comparison(comparison: Comparison, console: Console, everything: bool = False) -> None:
    """The table, the notes, and what it comes to."""

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    cases = cases_shown(comparison, everything)
    if cases:
        console.print(comparison_sheet(comparison, cases[:MOST_ROWS]))
        if len(cases) > MOST_ROWS:
            say(f"and {len(cases) - MOST_ROWS} more; --format json has all")
        if comparison.exit_code:
            say(f"! makes the exit code {comparison.exit_code}")
        say("")
    for line in () if everything else lacking(comparison):
        say(line)
    for note in comparison.notes:
        say(f"note: {note}")
    say(tally(comparison))
    say(conclusion(comparison))


def to_markdown(comparison: Comparison, everything: bool = False) -> str:
    """The same as Markdown, for a step summary or a comment."""
    cases = cases_shown(comparison, everything)
    parts = [f"### {_escaped(conclusion(comparison))}", "", f"{tally(comparison)}."]
    parts += ["", f"{_code(comparison.new)} against {_code(comparison.base)}"]
    if cases:
        parts += ["", "| verdict | problem | strategy | at | why |", "|---|---|---|---|---|"]
        for line in lines_of(comparison, cases[:MOST_ROWS]):
            verdict = f"**{line.verdict}**" if line.regression else str(line.verdict)
            words = (_escaped(line.quantity), _code(line.strategy), _escaped(line.setting), _escaped(line.reason))
            parts.append(f"| {verdict} | {' | '.join(words)} |")
        if len(cases) > MOST_ROWS:
            parts += ["", f"and {len(cases) - MOST_ROWS} more"]
    if remarks := [*lacking(comparison), *comparison.notes]:
        parts += ["", *(f"- {_escaped(remark)}" for remark in remarks)]
    return "\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", " ".join(printable(text).split()))


def _code(text: str) -> str:
    """Text between backquotes in a table: it cannot have any, and a bar ends the cell even there."""
    plain = " ".join(printable(text).replace("`", "'").replace("|", "\\|").split())
    return f"`{plain}`" if plain else ""
