"""The pictures over n: lines of theory, of f alone and of the dtype's epsilon beside what was measured."""

import pytest

from jacstrat.report.figures.picture import EPSILON
from jacstrat.report.figures.plots import PLOTS
from tests.report.figures.artists import FrameOf, Make, Sweep, axes_of, lines_of, markers_of, texts_of


def test_f_is_a_thin_grey_line_of_its_medians(record: Make, frame_of: FrameOf) -> None:
    times = {("vmap", 1): 1e-6, ("jvp", 1): 3e-6, ("ones", 1): None, ("vmap", 2): 4e-6}
    rows = [record(strategy=strategy, n=n, f_median_s=f_s) for (strategy, n), f_s in times.items()]
    (line,) = lines_of(axes_of(PLOTS["time"](frame_of(rows))), "f itself")
    assert [tuple(point) for point in line.get_xydata()] == [(1, pytest.approx(2e-6)), (2, pytest.approx(4e-6))]
    assert line.get_linewidth() <= 1


def test_the_theoretical_lines(sweep: Sweep, frame_of: FrameOf) -> None:
    figure = PLOTS["cost-ratio"](frame_of(sweep("sin")))
    for label, cost in {"1": lambda n: 1.0, "n": lambda n: n, "n + 2": lambda n: n + 2}.items():
        (line,) = lines_of(axes_of(figure), label)
        assert [cost(x) for x in line.get_xdata()] == pytest.approx(list(line.get_ydata()))
    assert "n, n + 2" in texts_of(figure)


def test_theoretical_lines_far_apart_have_a_label_each(sweep: Sweep, frame_of: FrameOf) -> None:
    assert {"1", "n", "n + 2"} <= set(texts_of(PLOTS["cost-ratio"](frame_of(sweep("sin", ns=(1, 2, 3))))))


@pytest.mark.parametrize("dtype", sorted(EPSILON))
def test_the_epsilon_of_the_dtype(dtype: str, record: Make, frame_of: FrameOf) -> None:
    figure = PLOTS["error"](frame_of([record(n=n, dtype=dtype, rel_error=1e-3) for n in (1, 2)]))
    (line,) = lines_of(axes_of(figure), f"ε of {dtype}")
    assert set(line.get_ydata()) == {EPSILON[dtype]}
    assert f"ε of {dtype}" in texts_of(figure)


def test_a_dtype_without_a_known_epsilon_has_no_line(record: Make, frame_of: FrameOf) -> None:
    axes = axes_of(PLOTS["error"](frame_of([record(n=n, dtype="float8", rel_error=1e-3) for n in (1, 2)])))
    assert {line.get_label() for line in axes.lines} == {"vmap"}


def test_no_bytes_have_a_place(record: Make, frame_of: FrameOf) -> None:
    rows = [record(n=n, peak_bytes=size) for n, size in ((1, 0), (2, 1024), (4, 4096))]
    axes = axes_of(PLOTS["memory"](frame_of(rows)))
    assert markers_of(axes, "vmap") == {1: 0, 2: 1024, 4: 4096}
    assert axes.transData.transform((1, 0))[1] > axes.transAxes.transform((0, 0))[1]
