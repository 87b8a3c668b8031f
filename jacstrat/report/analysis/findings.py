"""What a run found, in the order in which it is told: sheets and sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from jacstrat.report.analysis.answers import MEASURED, WinnerRange, failures, unsupported
from jacstrat.report.analysis.bound import bound_sentences, cache_sentence
from jacstrat.report.analysis.headline import MOST_SENTENCES, Headline
from jacstrat.report.analysis.setting import Source, to_records
from jacstrat.report.analysis.sheet import Sheet
from jacstrat.report.analysis.tables import (
    failures_table,
    growth_table,
    paybacks_table,
    stochastic_table,
    unsupported_table,
    winners_table,
    wrong_table,
)

LEAST_OF_A_SHEET = 8
"""Lines at the foot of a screen in which no sheet begins: a blank one, a title of three, the header and its rule, a row
of two."""
MOST_ROWS = 300
"""Rows of a sheet on a console: more take minutes to lay out, and nobody reads them."""


def findings(source: Source, ranges: Sequence[WinnerRange] | None = None) -> tuple[Sheet | str, ...]:
    """Who is fastest, who is wrong, how times grow, and which cases have no result.

    Args:
        source: Records.
        ranges: Their `winner_ranges`, where they are at hand.
    """
    records = to_records(source)
    if not records:
        return ("No case was run.",)
    blocks: list[Sheet | str] = [winners_table(records, ranges)]
    if any(record.draws for record in records):
        blocks.append(stochastic_table(records))
    blocks.append(wrong_table(records) if any(r.status == "wrong" for r in records) else "No result is wrong.")
    if (growth := growth_table(records, fastest_only=True)).rows:
        blocks.append(growth)
    blocks += bound_sentences(records)
    blocks += [cache_sentence(records) or ""] if cache_sentence(records) else []
    if (payback := paybacks_table(records)).rows:
        blocks.append(payback)
    blocks += [failures_table(records)] if failures(records) else []
    blocks += [unsupported_table(records)] if unsupported(records) else []
    counts = Counter(record.status for record in records if record.status not in MEASURED)
    if counts:
        parts = ", ".join(f"{count} {status}" for status, count in counts.most_common())
        blocks.append(f"{counts.total()} of {len(records)} cases have no result: {parts}.")
    return tuple(blocks)


def print_findings(source: Source, console: Console) -> None:
    """The findings on a console of any width, a blank line before and after each sheet."""
    print_told(findings(source), console)


def print_headline(label: str, title: str, said: Headline, console: Console) -> None:
    """The title, the sentences and the totals, a line each, and a blank line.

    Args:
        label: Of the run, where there are several; else "".
        title: What was run, where and when.
        said: The headline; of its sentences the first MOST_SENTENCES.
        console: Where to.
    """

    def say(text: str, style: str = "") -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    say(f"{label}: {title}" if label else title, "bold")
    for sentence in said.sentences[:MOST_SENTENCES]:
        say(f"- {sentence}")
    if rest := len(said.sentences[MOST_SENTENCES:]):
        say(f"- and {rest} more on the page")
    say(f"{said.totals}\n")


def print_screen(blocks: Sequence[Sheet | str], console: Console, command: str) -> None:
    """As much of the findings as one screen of the console holds, and the command that prints the rest.

    Args:
        blocks: Sheets and sentences.
        console: Where to; one that is no terminal counts as 25 lines high.
        command: What prints all.
    """
    lines = _lines(blocks, console)
    # The command, the summary below it and the next prompt are on the screen as well.
    room = max(console.height - 4, LEAST_OF_A_SHEET)
    shown = lines if len(lines) <= room else lines[: _room_of_whole_heads(blocks, console, room)]
    for line in shown:
        console.print(Text.from_ansi(line), soft_wrap=True)
    if rest := len(lines) - len(shown):
        console.print(f"... {rest} more lines: {command}", markup=False, highlight=False, soft_wrap=True)


def _lines(blocks: Sequence[Sheet | str], console: Console) -> list[str]:
    with console.capture() as captured:
        print_told(blocks, console)
    return captured.get().splitlines()


def _room_of_whole_heads(blocks: Sequence[Sheet | str], console: Console, room: int) -> int:
    """So many lines of the room that no sheet ends in its head: the one that would is left to the command."""
    for count in range(1, len(blocks)):
        before = len(_lines(blocks[:count], console))
        if before >= room:
            break
        if room - before < LEAST_OF_A_SHEET and isinstance(blocks[count], Sheet):
            return before
    return room


def print_told(blocks: Sequence[Sheet | str], console: Console) -> None:
    """Sheets and sentences on a console of any width."""
    for before, part in zip((None, *blocks), blocks, strict=False):
        if before is not None and Sheet in (type(before), type(part)):
            console.print()
        if isinstance(part, Sheet):
            rows = len(part.rows)
            console.print(replace(part, rows=part.rows[:MOST_ROWS], styles=part.styles[:MOST_ROWS]))
            if rows > MOST_ROWS:
                console.print(f"{MOST_ROWS} of {rows} rows; --format csv or json has all", highlight=False)
        else:
            console.print(part, markup=False, highlight=False)
