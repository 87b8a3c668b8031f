"""What a run found, in the order in which it is told: sheets and sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console

from jacstrat.report.answers import MEASURED, failures, unsupported
from jacstrat.report.setting import Source, to_records
from jacstrat.report.sheet import Sheet
from jacstrat.report.tables import (
    failures_table,
    growth_table,
    paybacks_table,
    stochastic_table,
    unsupported_table,
    winners_table,
    wrong_table,
)

MOST_ROWS = 300
"""Rows of a sheet on a console: more take minutes to lay out, and nobody reads them."""


def findings(source: Source) -> tuple[Sheet | str, ...]:
    """Who is fastest, who is wrong, how times grow, and which cases have no result."""
    records = to_records(source)
    if not records:
        return ("No case was run.",)
    found: list[Sheet | str] = [winners_table(records)]
    if any(record.draws for record in records):
        found.append(stochastic_table(records))
    found.append(wrong_table(records) if any(r.status == "wrong" for r in records) else "No result is wrong.")
    if (growth := growth_table(records, fastest_only=True)).rows:
        found.append(growth)
    if (payback := paybacks_table(records)).rows:
        found.append(payback)
    found += [failures_table(records)] if failures(records) else []
    found += [unsupported_table(records)] if unsupported(records) else []
    counts = Counter(record.status for record in records if record.status not in MEASURED)
    if counts:
        parts = ", ".join(f"{count} {status}" for status, count in counts.most_common())
        found.append(f"{counts.total()} of {len(records)} cases have no result: {parts}.")
    return tuple(found)


def print_findings(source: Source, console: Console) -> None:
    """The findings on a console of any width, a blank line before and after each sheet."""
    print_told(findings(source), console)


def print_told(told: Sequence[Sheet | str], console: Console) -> None:
    """Sheets and sentences on a console of any width."""
    for before, found in zip((None, *told), told, strict=False):
        if before is not None and Sheet in (type(before), type(found)):
            console.print()
        if isinstance(found, Sheet):
            rows = len(found.rows)
            console.print(replace(found, rows=found.rows[:MOST_ROWS], styles=found.styles[:MOST_ROWS]))
            if rows > MOST_ROWS:
                console.print(f"{MOST_ROWS} of {rows} rows; --format csv or json has all", highlight=False)
        else:
            console.print(found, markup=False, highlight=False)
