"""Runs beside each other as a picture: the quotient of cost ratios."""

import pytest
from matplotlib.collections import PolyCollection

from jacstrat.report.analysis.cross_run import sides
from jacstrat.report.analysis.runs import Run
from jacstrat.report.figures.cross_run import cross_run_pictures
from jacstrat.report.figures.plots import draw_picture
from tests.report.conftest import run
from tests.report.figures.artists import axes_of, lines_of, markers_of


def test_the_picture_is_the_quotient_of_cost_ratios(two_runs: tuple[Run, Run]) -> None:
    ((_, picture),) = cross_run_pictures(sides(two_runs))
    axes = axes_of(draw_picture(picture))
    assert markers_of(axes, "jvp") == {2: 1.0, 4: 2.0, 8: 4.0}
    assert markers_of(axes, "vmap") == pytest.approx({2: 0.75, 4: 0.8, 8: 4 / 6})
    bands = {item.get_label(): item.get_paths()[0].vertices for item in axes.collections}
    assert isinstance(axes.collections[0], PolyCollection)
    assert [8, pytest.approx(4.0 * 1.1 / 0.9)] in [list(corner) for corner in bands["jvp"]]
    assert set(lines_of(axes, "the same")[0].get_ydata()) == {1.0}
    assert picture.answer == "Cost ratios from 0.667× (vmap, n = 8) to 4.00× (jvp, n = 8) those of cpu"
    assert picture.title.endswith("gpu over cpu")


def test_three_runs_stand_each_over_the_first(two_runs: tuple[Run, Run]) -> None:
    again = run("again", *two_runs[1].records)
    found = cross_run_pictures(sides([*two_runs, again]))
    assert [label for label, _ in found] == ["gpu", "again"]
    assert [picture.title.split(": ")[1] for _, picture in found] == ["gpu over cpu", "again over cpu"]
