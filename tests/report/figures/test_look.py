"""Widths, and figures of a column's width: every letter can be read, and none is cut off."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from jacstrat.core.errors import UsageError
from jacstrat.record import Record
from jacstrat.report.figures.chart import empty_chart
from jacstrat.report.figures.look import LEAST_POINTS, NARROW_INCHES, WIDE, look_of, parse_width
from jacstrat.report.figures.multiples import draw_smalls
from jacstrat.report.figures.plots import PLOTS, write_figure
from jacstrat.report.figures.series import Curve, CurvePoint
from jacstrat.report.figures.small import smalls
from jacstrat.report.figures.winnermap import draw_map, winner_maps

Make = Callable[..., Record]
Sweep = Callable[..., list[Record]]
LINES = (Curve("vmap", (1, 2), (CurvePoint(1, 1.0, None, None, False), CurvePoint(2, 1.0, None, None, False)), ""),)


@pytest.mark.parametrize(
    ("text", "inches"), [("3.4in", 3.4), ("86mm", 86 / 25.4), (" 8.6 cm ", 8.6 / 2.54), ("246pt", 246 / 72)]
)
def test_a_width_has_a_unit(text: str, inches: float) -> None:
    assert parse_width(text) == pytest.approx(inches)


@pytest.mark.parametrize("text", ["3.4", "in", "1in", "900mm", "-3in", "3.4inch", "nanin"])
def test_what_is_no_width_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"such as 3.4in, got {text!r}")):
        parse_width(text)


def test_a_legend_goes_below_where_there_is_no_room_beside() -> None:
    assert look_of(None) is WIDE
    assert not look_of(NARROW_INCHES).below
    assert look_of(3.4).below
    sizes = look_of(3.4)
    assert min(sizes.title, sizes.text, sizes.label, sizes.tick, sizes.legend, sizes.note) >= LEAST_POINTS


def texts_of(figure: Figure) -> list[Text]:
    figure.draw_without_rendering()
    return [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]


def legible(figure: Figure, width: float) -> None:
    assert figure.get_figwidth() == width
    box = figure.bbox
    for text in texts_of(figure):
        assert text.get_fontsize() >= LEAST_POINTS, text
        extent = text.get_window_extent()
        if extent.width and text.get_text() and extent.y1 > 0 and extent.y0 < box.height:
            assert extent.x0 >= -1, text
            assert extent.x1 <= box.width + 1, text


@pytest.mark.parametrize("name", ["time", "error"])
def test_a_plot_of_a_columns_width_is_legible(name: str, sweep: Sweep) -> None:
    figure = PLOTS[name](sweep("linear"), width_inches=3.4)
    assert figure is not None
    legible(figure, 3.4)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "ones, wrong" in labels


def test_small_multiples_and_maps_of_a_columns_width_are_legible(record: Make, sweep: Sweep) -> None:
    (figure,) = draw_smalls(smalls(sweep("linear")), 3.4)
    legible(figure, 3.4)
    grid = [record(n=n, batch=batch) for n in (1, 2, 4) for batch in (1, 8)]
    (found,) = winner_maps(grid)
    legible(draw_map(found, 3.4), 3.4)


def test_fonts_are_inside_and_the_bytes_are_the_same_again(record: Make, tmp_path: Path) -> None:
    rows = [record(n=n) for n in (1, 2, 4)]
    for name in ("one", "two"):
        figure = PLOTS["time"](rows)
        assert figure is not None
        write_figure(figure, tmp_path / name, "pdf")
    pdf = (tmp_path / "one").read_bytes()
    assert pdf == (tmp_path / "two").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    write_figure(figure, tmp_path / "three", "svg")
    assert "<text" not in (tmp_path / "three").read_text()


@pytest.mark.parametrize("size", ["B = 16", "n = 16"])
def test_a_title_of_a_column_is_not_broken_between_a_letter_and_its_number(size: str) -> None:
    for letters in range(1, 60):
        _, axes = empty_chart(f"{'x' * letters}, {size}", "", "y", LINES, look=look_of(3.4))
        assert size in axes.get_title(loc="left").replace("\u00a0", " ")
