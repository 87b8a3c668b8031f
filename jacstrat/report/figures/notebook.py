"""What a notebook shows: sentences and sheets as HTML, and figures as they are.

A sheet is one table that needs no style sheet; its colours are those of the page around it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from html import escape

from matplotlib.figure import Figure

from jacstrat.report.analysis.sheet import ROW_STYLES, Sheet

WRONG = "#DE4535"
"""Of a wrong row: on white and on `palette.DARK_GROUND` alike its contrast is above 4."""
_LEFT, _RIGHT = ' style="text-align:left"', ' style="text-align:right"'


class ShownFigure(Figure):
    """A figure that a notebook shows by itself; one made without pyplot is else a line of text there."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


def paragraphs_html(texts: Iterable[str]) -> str:
    """A paragraph a text; text is escaped."""
    return "".join(f"<p>{escape(text)}</p>" for text in texts)


def figure_html(figure: ShownFigure, words: str) -> str:
    """A figure as an image that is in the page, with words for who does not see it."""
    data = base64.b64encode(figure._repr_png_()).decode()
    return f'<img alt="{escape(words)}" src="data:image/png;base64,{data}">'


def sheets_html(sheets: Iterable[Sheet]) -> str:
    """The sheets one below the other, every column of each; text is escaped, so that nothing in it is markup."""
    return "".join(map(_table, sheets))


def _table(sheet: Sheet) -> str:
    sides = [_RIGHT if column.numeric else _LEFT for column in sheet.columns]
    header = "".join(
        f"<th{side}>{escape(column.header)}</th>" for side, column in zip(sides, sheet.columns, strict=True)
    )
    rows = []
    for row, style in zip(sheet.rows, sheet.styles, strict=True):
        mark = f' style="color:{WRONG};font-weight:bold"' if style == ROW_STYLES["wrong"] else ""
        cells = "".join(f"<td{side}>{escape(cell)}</td>" for side, cell in zip(sides, row, strict=True))
        rows.append(f"<tr{mark}>{cells}</tr>")
    caption = f'<caption style="text-align:left;white-space:nowrap">{escape(sheet.title)}</caption>'
    return f"<table>{caption}<thead><tr>{header}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
