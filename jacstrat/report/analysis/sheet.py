"""A sheet: a table for a terminal of any width.

Text is never read as markup, and a console without Unicode gets ASCII.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from jacstrat.core.text import printable

ASCII = str.maketrans({"µ": "u", "–": "-", "×": "x", "±": "+-"})
ROW_STYLES = {"ok": "", "wrong": "bold red"}
NARROW = 16
"""Characters to which a column that may fold is narrowed before columns are left out."""


@dataclass(frozen=True)
class SheetColumn:
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
        is_unmeasured: Whether it is of cases without a result.
    """

    title: str
    columns: tuple[SheetColumn, ...]
    rows: tuple[tuple[str, ...], ...]
    styles: tuple[str, ...]
    is_unmeasured: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = list(range(len(self.columns)))
        unbounded = options.update(max_width=100_000)

        def fits(limit: int | None) -> bool:
            wanted = Measurement.get(console, unbounded, self._table(shown, limit, options))
            return wanted.maximum <= options.max_width

        limit = None if fits(None) else NARROW
        while limit and not fits(limit) and any(self.columns[i].rank for i in shown):
            shown.remove(max(shown, key=lambda i: self.columns[i].rank))
        yield _text(self.title, options, "bold")
        if not self.rows:
            yield _text("none", options)
            return
        yield self._table(shown, limit, options, free=True)
        if hidden := [self.columns[i].header for i in range(len(self.columns)) if i not in shown]:
            yield _text(f"not shown at this width: {', '.join(hidden)}", options, "dim")

    def _table(self, shown: Sequence[int], limit: int | None, options: ConsoleOptions, free: bool = False) -> Table:
        """The columns kept, those that fold no wider than the limit, prose only unless it is free."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
        for i in shown:
            column = self.columns[i]
            table.add_column(
                _text(column.header, options),
                justify="right" if column.numeric else "left",
                no_wrap=column.numeric,
                overflow="fold",
                max_width=None if column.numeric or (free and column.prose) else limit,
            )
        for row, style in zip(self.rows, self.styles, strict=True):
            table.add_row(*(_text(row[i], options) for i in shown), style=style)
        return table


def _text(text: str, options: ConsoleOptions, style: str = "") -> Text:
    """Text that prints as one line: no markup, no control characters, and no sign that the console cannot show."""
    line = printable(text)
    if options.ascii_only:
        line = line.translate(ASCII).encode("ascii", "replace").decode()
    return Text(line, style=style)


def sheet_of(
    title: str, columns: Sequence[SheetColumn], rows: Sequence[Sequence[str]], styles: Sequence[str] = ()
) -> Sheet:
    """A sheet without the columns that are empty in every row; a problem that repeats is named once."""
    shown = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    cells = [[row[i] for i in shown] for row in rows]
    for above, row in reversed([*pairwise(cells)]):
        if columns[0].header == "problem" and above[0] == row[0]:
            row[0] = ""
    return Sheet(title, tuple(columns[i] for i in shown), tuple(map(tuple, cells)), tuple(styles) or ("",) * len(rows))
