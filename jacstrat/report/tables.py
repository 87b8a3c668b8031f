"""The answers and the records as tables for a terminal of any width.

Text of records is never read as markup, and a console without Unicode gets ASCII.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from jacstrat.records import Record
from jacstrat.report.answers import MEASURED, Unmeasured, failures, growths, unsupported, winner_ranges, wrong
from jacstrat.report.payback import paybacks
from jacstrat.report.setting import SETTING, Setting, by_setting, quantity, to_records, varying
from jacstrat.report.units import (
    format_bytes,
    format_error,
    format_factor,
    format_quartiles,
    format_range,
    format_ratio,
    format_seconds,
    format_spans,
)

ASCII = str.maketrans({"µ": "u", "–": "-", "×": "x", "±": "+-"})
ROW_STYLES = {"ok": "", "wrong": "bold red"}
NARROW = 16
"""Characters to which a column that may fold is narrowed before columns are left out."""


@dataclass(frozen=True)
class Column:
    """A column of a sheet.

    Fields:
        header: Its title.
        numeric: It is set to the right, and never folds.
        prose: It takes whatever width the others leave.
        rank: Where the terminal is too narrow the columns of the highest rank are left out first, those of 0 never.
    """

    header: str
    numeric: bool = False
    prose: bool = False
    rank: int = 0


@dataclass(frozen=True)
class Sheet:
    """A table that leaves out its least important columns where the terminal is too narrow, and says which.

    Fields:
        title: One line.
        columns: From left to right.
        rows: Cells, as plain text.
        styles: The rich style of each row.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    styles: tuple[str, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        kept = list(range(len(self.columns)))
        unbounded = options.update(max_width=100_000)

        def fits(limit: int | None) -> bool:
            wanted = Measurement.get(console, unbounded, self._table(kept, limit, options))
            return wanted.maximum <= options.max_width

        limit = None if fits(None) else NARROW
        while limit and not fits(limit) and any(self.columns[i].rank for i in kept):
            kept.remove(max(kept, key=lambda i: self.columns[i].rank))
        yield _text(self.title, options, "bold")
        if not self.rows:
            yield _text("none", options)
            return
        yield self._table(kept, limit, options, free=True)
        if hidden := [self.columns[i].header for i in range(len(self.columns)) if i not in kept]:
            yield _text(f"not shown at this width: {', '.join(hidden)}", options, "dim")

    def _table(self, kept: Sequence[int], limit: int | None, options: ConsoleOptions, free: bool = False) -> Table:
        """The columns kept, those that fold no wider than the limit, prose only unless it is free."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
        for i in kept:
            column = self.columns[i]
            table.add_column(
                _text(column.header, options),
                justify="right" if column.numeric else "left",
                no_wrap=column.numeric,
                overflow="fold",
                max_width=None if column.numeric or (free and column.prose) else limit,
            )
        for row, style in zip(self.rows, self.styles, strict=True):
            table.add_row(*(_text(row[i], options) for i in kept), style=style)
        return table


def _text(text: str, options: ConsoleOptions, style: str = "") -> Text:
    """Text that prints as one line: no markup, no control characters, and no sign that the console cannot show."""
    line = "".join(sign if sign.isprintable() else " " for sign in text)
    if options.ascii_only:
        line = line.translate(ASCII).encode("ascii", "replace").decode()
    return Text(line, style=style)


def _sheet(title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]], styles: Sequence[str] = ()) -> Sheet:
    """A sheet without the columns that are empty in every row; a problem that repeats is named once."""
    kept = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    cells = [[row[i] for i in kept] for row in rows]
    for above, row in reversed([*pairwise(cells)]):
        if columns[0].header == "problem" and above[0] == row[0]:
            row[0] = ""
    return Sheet(title, tuple(columns[i] for i in kept), tuple(map(tuple, cells)), tuple(styles) or ("",) * len(rows))


def _extent(values: Sequence[float | None], show: Callable[[float], str]) -> str:
    known = [value for value in values if value is not None]
    return format_range(show(min(known)), show(max(known))) if known else ""


def winners_table(frame: pd.DataFrame) -> Sheet:
    """The fastest strategy over n, by problem and operator; neighbouring n's with the same winner share a row."""
    ranges = winner_ranges(frame)
    differing = varying(found.setting for found in ranges)
    columns = [
        Column("problem"),
        Column("case"),
        Column("n", numeric=True),
        Column("fastest"),
        Column("time", numeric=True, rank=2),
        Column("cost ratio", numeric=True, rank=4),
        Column("next", numeric=True, rank=3),
        Column("slowest", numeric=True, rank=5),
    ]
    rows, styles = [], []
    for found in ranges:
        rows.append(
            [
                found.setting.name,
                found.setting.words(differing, brief=True),
                format_range(str(found.n_low), str(found.n_high)),
                found.strategy or "no right result",
                _extent([winner.median_s for winner in found.winners], format_seconds),
                _extent([winner.cost_ratio for winner in found.winners], format_ratio),
                _extent([winner.over_runner_up for winner in found.winners], format_factor),
                _extent([winner.over_slowest for winner in found.winners], format_factor),
            ]
        )
        styles.append("" if found.strategy else "yellow")
    return _sheet("Fastest right strategy; next and slowest as multiples of its time", columns, rows, styles)


def wrong_table(frame: pd.DataFrame) -> Sheet:
    """Where strategies were wrong."""
    columns = [
        Column("problem"),
        Column("strategy"),
        Column("n", numeric=True),
        Column("relative error", numeric=True, rank=1),
        Column("wrong cases", numeric=True, rank=2),
    ]
    rows = [
        [
            quantity(found.operator, found.problem),
            found.strategy,
            format_spans(found.ns),
            _extent([found.rel_error_low, found.rel_error_high], format_error),
            f"{found.cases} of {found.judged}",
        ]
        for found in wrong(frame)
    ]
    return _sheet("Wrong results", columns, rows, [ROW_STYLES["wrong"]] * len(rows))


def failures_table(frame: pd.DataFrame) -> Sheet:
    """What was skipped or did not come to its end, with reasons."""
    return _unmeasured("Failed and skipped", failures(frame))


def unsupported_table(frame: pd.DataFrame) -> Sheet:
    """What strategies cannot do, with reasons."""
    return _unmeasured("Unsupported", unsupported(frame))


def _unmeasured(title: str, found: Sequence[Unmeasured]) -> Sheet:
    columns = [
        Column("problem"),
        Column("strategy"),
        Column("n"),
        Column("status", rank=1),
        Column("reason", prose=True),
    ]
    rows = [[quantity(f.operator, f.problem), f.strategy, format_spans(f.ns), f.status, f.reason] for f in found]
    return _sheet(title, columns, rows)


def growth_table(frame: pd.DataFrame) -> Sheet:
    """How time grows with n."""
    found = growths(frame)
    differing = varying(growth.setting for growth in found)
    columns = [
        Column("problem"),
        Column("case"),
        Column("strategy"),
        Column("exponent", numeric=True),
        Column("n", numeric=True, rank=2),
    ]
    rows = [
        [
            growth.setting.name,
            growth.setting.words(differing),
            growth.strategy,
            f"{growth.exponent:.2f} ± {growth.std_error:.2f}",
            format_range(str(growth.n_low), str(growth.n_high)),
        ]
        for growth in found
    ]
    return _sheet("Growth of time: n to this power, fitted over the larger half of n, ± standard error", columns, rows)


def records_table(frame: pd.DataFrame) -> Group:
    """Every case, a sheet a problem and operator, fastest first at each n.

    What is the same in all cases of a sheet stands in its title. `cost` is the cost ratio, `error` the relative error,
    "exact" where there is none.
    """
    groups: dict[str, list[Record]] = {}
    settings: dict[str, list[Setting]] = {}
    for setting, records in by_setting(to_records(frame)).items():
        groups.setdefault(setting.name, []).extend(records)
        settings.setdefault(setting.name, []).append(setting)
    return Group(*(_records(settings[name], records) for name, records in groups.items()))


def _records(settings: Sequence[Setting], records: Sequence[Record]) -> Sheet:
    differing = varying(settings)
    columns = [
        Column("strategy"),
        Column("n", numeric=True),
        *(Column(name, numeric=name in ("batch", "threads", "seed"), rank=1) for name in differing),
        Column("status"),
        Column("median [quartiles]", numeric=True),
        Column("cost", numeric=True, rank=2),
        Column("error", numeric=True, rank=3),
        Column("peak", numeric=True, rank=4),
    ]
    ordered = sorted(records, key=lambda r: (r.n, r.median_s if r.median_s is not None else math.inf, r.strategy))
    rows = [
        [
            r.strategy,
            str(r.n),
            *(str(getattr(r, name)) for name in differing),
            "WRONG" if r.status == "wrong" else r.status,
            format_quartiles(r.median_s, r.q1_s, r.q3_s),
            format_ratio(r.cost_ratio),
            "exact" if r.exact else format_error(r.rel_error),
            format_bytes(r.peak_bytes),
        ]
        for r in ordered
    ]
    same = [name for name in SETTING[2:] if name not in differing]
    title = f"{settings[0].name}, {settings[0].words(same)}"
    return _sheet(title, columns, rows, [ROW_STYLES.get(r.status, "dim") for r in ordered])


def print_findings(frame: pd.DataFrame, console: Console) -> None:
    """What a run found: who is fastest, who is wrong, and how many cases have no result."""
    records = to_records(frame)
    if not records:
        console.print("No case was run.", markup=False)
        return
    console.print(winners_table(frame))
    console.print()
    if any(record.status == "wrong" for record in records):
        console.print(wrong_table(frame))
    else:
        console.print("No result is wrong.", markup=False)
    for payback in paybacks(frame):
        console.print(payback.sentence, markup=False, highlight=False)
    for status_table, found in ((failures_table, failures(frame)), (unsupported_table, unsupported(frame))):
        if found:
            console.print()
            console.print(status_table(frame))
    counts = Counter(record.status for record in records if record.status not in MEASURED)
    if counts:
        parts = ", ".join(f"{count} {status}" for status, count in counts.most_common())
        console.print(
            f"{counts.total()} of {len(records)} cases have no result: {parts}.", markup=False, highlight=False
        )
