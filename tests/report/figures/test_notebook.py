"""What a notebook shows has no markup of records in it, and figures are images."""

from __future__ import annotations

import base64
import re

from jacstrat.report.analysis.sheet import ROW_STYLES, Sheet, SheetColumn
from jacstrat.report.figures.notebook import WRONG, ShownFigure, figure_html, paragraphs_html, sheets_html
from jacstrat.report.figures.palette import DARK_GROUND, contrast

EVIL = '<img src="x">&'
SAFE = "&lt;img src=&quot;x&quot;&gt;&amp;"


def test_texts_are_text() -> None:
    assert paragraphs_html([EVIL, "b"]) == f"<p>{SAFE}</p><p>b</p>"
    sheet = Sheet(EVIL, (SheetColumn(EVIL),), ((EVIL,),), ("",))
    html = sheets_html([sheet])
    assert EVIL not in html
    assert html.count(SAFE) == 3


def test_numbers_stand_right_and_wrong_rows_out() -> None:
    columns = (SheetColumn("name"), SheetColumn("time", numeric=True, rank=9))
    html = sheets_html([Sheet("t", columns, (("a", "1"), ("b", "2")), ("", ROW_STYLES["wrong"]))])
    assert re.findall(r'<td style="text-align:(\w+)">(\w)</td>', html) == [
        ("left", "a"),
        ("right", "1"),
        ("left", "b"),
        ("right", "2"),
    ]
    assert [WRONG in row for row in html.split("<tr")[2:]] == [False, True]


def test_a_figure_is_an_image_with_words() -> None:
    html = figure_html(ShownFigure(figsize=(1, 1), dpi=20), EVIL)
    found = re.fullmatch(rf'<img alt="{re.escape(SAFE)}" src="data:image/png;base64,([^"]*)">', html)
    assert found is not None
    assert base64.b64decode(found[1]).startswith(b"\x89PNG")


def test_the_colour_of_a_wrong_row_is_seen_on_any_page() -> None:
    assert min(contrast(WRONG, "#FFFFFF"), contrast(WRONG, DARK_GROUND)) > 4
