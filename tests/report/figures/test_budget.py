"""Error, and time, against products."""

from collections.abc import Callable, Iterable

import pandas as pd

from jacstrat.record import Record
from jacstrat.report.figures.plots import PLOTS, write_plots
from tests.report.conftest import stochastic_rows
from tests.report.figures.artists import axes_of, markers_of, texts_of

Make = Callable[..., Record]
FrameOf = Callable[[Iterable[Record]], pd.DataFrame]


def test_the_plot_has_products_on_its_axis(record: Make, drawn: Make, frame_of: FrameOf) -> None:
    frame = frame_of(stochastic_rows(record, drawn))
    figure = PLOTS["budget"](frame)
    axes = axes_of(figure)
    assert markers_of(axes, "xtrace") == {16: 0.1, 65: 1e-3}
    assert markers_of(axes, "hutchinson") == {16: 0.1}
    texts = texts_of(figure)
    assert {"products a point", "relative error", "0.01"} <= set(texts)
    assert "Divergence of sin, float64, cpu, B = 1, n = 64" in texts
    assert "Fewest products within a relative error of 0.01: 65, xtrace" in texts


def test_the_plot_of_one_budget_and_of_none(record: Make, drawn: Make, frame_of: FrameOf, tmp_path) -> None:
    texts = texts_of(PLOTS["budget"](frame_of([drawn("hutchinson", 16, 0.1, 1e-3), drawn("xtrace", 16, 0, 1e-3)])))
    assert "products a point: 16; strategies in the order of the legend" in texts
    assert PLOTS["budget"](frame_of([record()])) is None
    names = [file.name for file in write_plots(frame_of([record()]), tmp_path)]
    assert not [name for name in names if "budget" in name]
    none = texts_of(PLOTS["budget"](frame_of([drawn("hutchinson", 16, 0.1, 1e-3)])))
    assert "No budget reaches a relative error of 0.01" in none


def test_time_stands_against_products_beside_the_exact_one(record: Make, drawn: Make, frame_of: FrameOf) -> None:
    rows = [drawn("hutchinson:probes=4", 4, 0.2, 1e-6), drawn("hutchinson:probes=16", 16, 0.1, 3e-6)]
    rows += [drawn("xtrace:probes=4", 4, 0.2, 9e-6), record(strategy="vmap", median_s=4e-6)]
    axes = axes_of(PLOTS["products"](frame_of(rows)))
    assert markers_of(axes, "hutchinson") == {4: 1e-6, 16: 3e-6}
    assert markers_of(axes, "xtrace") == {4: 9e-6}
    assert "Most products in the time of vmap, which is exact: 16, hutchinson" in texts_of(
        PLOTS["products"](frame_of(rows))
    )
    (exact,) = [line for line in axes.lines if line.get_label() == "vmap"]
    assert set(exact.get_ydata()) == {4e-6}
