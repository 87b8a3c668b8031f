"""The small multiples as figures: how many axes and columns, and names at the ends."""

from collections.abc import Callable

import pytest

from jacstrat.record import Record
from jacstrat.report.figures import multiples
from jacstrat.report.figures.multiples import draw_smalls, draw_strip
from jacstrat.report.figures.small import smalls

Make = Callable[..., Record]
Sweep = Callable[..., list[Record]]


def test_figures_have_at_most_so_many_axes_and_names_at_the_ends(
    record: Make, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiples, "MOST_AXES", 2)
    many = [record(problem=f"p{i}", n=n) for i in range(3) for n in (1, 2)]
    assert [sum(axes.axison for axes in figure.axes) for figure in draw_smalls(smalls(many))] == [2, 1]
    (figure,) = draw_smalls(smalls(sweep("linear")), 3.4)
    (axes,) = figure.axes
    assert "ones, wrong" in [text.get_text() for text in axes.texts]
    assert axes.get_title(loc="left").strip() == "Divergence of linear"


@pytest.mark.parametrize(("problems", "columns"), [(1, 1), (2, 2), (3, 3), (4, 3)])
def test_a_figure_has_no_more_columns_than_it_fills(record: Make, problems: int, columns: int) -> None:
    (figure,) = draw_smalls(smalls([record(problem=f"p{i}", n=n) for i in range(problems) for n in (1, 2)]))
    shown = [axes.get_subplotspec() for axes in figure.axes if axes.axison]
    assert {spec.get_gridspec().ncols for spec in shown} == {columns}
    width, height = figure.get_size_inches()
    assert height >= width / columns * 0.42


def test_a_strip_has_a_row_a_strategy_the_fastest_on_top(record: Make) -> None:
    rows = [record(strategy="a", median_s=2e-6), record(strategy="b", median_s=1e-6, status="wrong")]
    figure = draw_strip(rows)
    assert figure is not None
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert "1.00 µs, wrong" in [text.get_text() for text in axes.texts]
    assert draw_strip([record(median_s=None, status="oom")]) is None
