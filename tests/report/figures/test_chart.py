"""A chart as matplotlib draws it: points, lines, bands and marks are those of the records, and nothing covers them."""

import pytest
from matplotlib.collections import LineCollection, PolyCollection

from jacstrat.report.figures.plots import PLOTS
from tests.report.figures.artists import (
    COLUMNS,
    OVER_N,
    FrameOf,
    Make,
    Sweep,
    axes_of,
    is_dashed,
    markers_of,
    strokes_of,
)

pytestmark = pytest.mark.long(but_one_in=2)


@pytest.mark.parametrize("name", ["time", "cost-ratio", "memory"])
def test_the_points_are_those_of_the_records(name: str, sweep: Sweep, frame_of: FrameOf) -> None:
    rows = sweep("linear")
    axes = axes_of(PLOTS[name](frame_of(rows)))
    for strategy in {row.strategy for row in rows}:
        expected = {row.n: getattr(row, COLUMNS[name]) for row in rows if row.strategy == strategy}
        assert markers_of(axes, strategy) == expected
        stroked = {n: y for line in strokes_of(axes, strategy) for n, y in zip(*line.get_data(), strict=True)}
        assert stroked == expected
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_errors_stand_at_their_value_and_exact_ones_in_the_band(sweep: Sweep, frame_of: FrameOf) -> None:
    rows = sweep("linear")
    axes = axes_of(PLOTS["error"](frame_of(rows)))
    smallest = min(row.rel_error for row in rows if row.rel_error)
    labels = {label.get_text(): y for label, y in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)}
    assert axes.get_ylim()[0] < labels["exact"] < smallest
    for row in rows:
        y = markers_of(axes, row.strategy)[row.n]
        assert y == row.rel_error if row.rel_error else y < smallest


@pytest.mark.parametrize("name", OVER_N)
def test_wrong_points_are_hollow_and_their_lines_dashed(name: str, sweep: Sweep, frame_of: FrameOf) -> None:
    axes = axes_of(PLOTS[name](frame_of(sweep("linear"))))
    assert list(markers_of(axes, "ones", hollow=False)) == [1]
    assert list(markers_of(axes, "ones", hollow=True)) == [2, 4, 8, 16, 32, 64]
    assert [is_dashed(line) for line in strokes_of(axes, "ones")] == [True]
    assert markers_of(axes, "vmap", hollow=True) == {}
    assert not any(is_dashed(line) for line in axes.lines if line.get_label() != "ones")


def test_a_line_is_dashed_only_where_it_touches_a_wrong_point(record: Make, frame_of: FrameOf) -> None:
    rows = [record(n=n, status="wrong" if n == 8 else "ok") for n in (1, 2, 4, 8)]
    strokes = strokes_of(axes_of(PLOTS["time"](frame_of(rows))), "vmap")
    assert [(list(line.get_xdata()), is_dashed(line)) for line in strokes] == [([1, 2, 4], False), ([4, 8], True)]


def test_the_band_is_the_quartiles(record: Make, frame_of: FrameOf) -> None:
    rows = [record(n=n, median_s=n * 1e-6, q1_s=n * 0.9e-6, q3_s=n * 1.2e-6) for n in (1, 2, 4)]
    axes = axes_of(PLOTS["time"](frame_of(rows)))
    (band,) = [item for item in axes.collections if isinstance(item, PolyCollection)]
    corners = {(round(x, 9), round(y * 1e6, 9)) for x, y in band.get_paths()[0].vertices}
    assert corners == {(n, n * factor) for n in (1, 2, 4) for factor in (0.9, 1.2)}


@pytest.mark.parametrize("name", OVER_N)
def test_a_single_n_shows_labelled_points_side_by_side(name: str, sweep: Sweep, frame_of: FrameOf) -> None:
    figure = PLOTS[name](frame_of(sweep("linear", ns=[16])))
    axes = axes_of(figure)
    places = [x for strategy in ("jvp", "vmap", "ones") for x in markers_of(axes, strategy)]
    assert len(set(places)) == 3
    assert strokes_of(axes, "vmap") == []
    assert axes.get_xlabel().startswith("n = 16")
    assert len(axes.texts) >= 7


def test_a_single_n_shows_its_quartiles(record: Make, frame_of: FrameOf) -> None:
    axes = axes_of(PLOTS["time"](frame_of([record(q1_s=8e-6, q3_s=13e-6)])))
    (bar,) = [item for item in axes.collections if isinstance(item, LineCollection)]
    assert [list(point) for point in bar.get_segments()[0]] == [[1, 8e-6], [1, 13e-6]]


def test_a_missing_value_breaks_the_line_and_costs_nothing_else(record: Make, frame_of: FrameOf) -> None:
    rows = [record(n=n, median_s=None if n == 4 else n * 1e-6) for n in (1, 2, 4, 8, 16)]
    rows += [record(strategy="jvp", n=n) for n in (1, 2, 4, 8, 16)]
    strokes = strokes_of(axes_of(PLOTS["time"](frame_of(rows))), "vmap")
    assert [list(line.get_xdata()) for line in strokes] == [[1, 2], [8, 16]]


def test_a_band_is_left_out_where_an_end_is_missing(record: Make, frame_of: FrameOf) -> None:
    rows = [record(n=n, q1_s=None if n == 2 else 9e-6) for n in (1, 2, 4)]
    axes = axes_of(PLOTS["time"](frame_of(rows)))
    assert not axes.collections
    assert list(markers_of(axes, "vmap")) == [1, 2, 4]


def test_lines_that_cover_each_other_are_drawn_wider_below(record: Make, frame_of: FrameOf) -> None:
    rows = [record(strategy=s, n=n, peak_bytes=8 * n * k) for s, k in (("a", 2), ("b", 2), ("c", 1)) for n in (1, 2, 4)]
    axes = axes_of(PLOTS["memory"](frame_of(rows)))
    (width_a,), (width_b,), (width_c,) = ([line.get_linewidth() for line in strokes_of(axes, s)] for s in "abc")
    assert width_a > width_b == width_c


@pytest.mark.parametrize("name", OVER_N)
def test_nothing_covers_the_data_and_all_is_on_the_page(name: str, record: Make, frame_of: FrameOf) -> None:
    shared = {"cost_ratio": 3.0, "rel_error": 1e-16, "peak_bytes": 64, "f_median_s": 1e-6}
    rows = [
        record(**shared, problem="some/path/to/a/file.py:problem", strategy=f"vmap:chunk_size={k}", n=n)
        for k in range(50)
        for n in (1, 2, 4, 8)
    ]
    figure = PLOTS[name](frame_of(rows))
    axes = axes_of(figure)
    assert figure is not None
    figure.draw_without_rendering()
    legend = axes.get_legend()
    assert legend is not None
    page, inside, box = figure.bbox, axes.get_window_extent(), legend.get_window_extent()
    assert box.x0 > inside.x1
    assert box.x1 <= page.x1
    assert box.y0 >= page.y0
    assert inside.width > 0.35 * page.width
    for text in axes.texts:
        assert text.get_window_extent().x1 <= page.x1
        assert text.get_window_extent().x1 < box.x0 or text.get_window_extent().y0 > inside.y1
