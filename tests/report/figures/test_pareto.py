from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.record import Record
from jacstrat.report.figures.pareto import pareto_front
from jacstrat.report.figures.plots import PLOTS, picture_of
from jacstrat.report.figures.series import Curve, CurvePoint
from tests.report.figures.artists import axes_of, lines_of, markers_of, texts_of

Make = Callable[..., Record]


def test_the_points_are_time_and_error_at_the_largest_n_with_two(record: Make) -> None:
    errors = {"ones": (1e-6, 0.3, "wrong"), "vmap": (4e-6, 1e-16, "ok"), "jvp": (9e-6, 2e-16, "ok")}
    rows = [
        record(strategy=name, n=n, median_s=n * seconds, rel_error=error, status=status)
        for name, (seconds, error, status) in errors.items()
        for n in (1, 2)
    ]
    rows.append(record(n=4, rel_error=1e-16))
    figure = PLOTS["pareto"](rows)
    axes = axes_of(figure)
    for name, (seconds, error, status) in errors.items():
        assert markers_of(axes, name, hollow=status == "wrong") == {2 * seconds: error}
    (front,) = lines_of(axes, "front")
    assert list(zip(*front.get_data(), strict=True)) == [(2e-6, 0.3), (8e-6, 1e-16)]
    assert front.get_drawstyle() == "steps-post"
    assert "Pareto front, from fast to exact: ones (wrong), vmap" in texts_of(figure)
    assert texts_of(figure)[0].endswith(", n = 2")


def test_exact_results_are_on_the_front_in_their_band(record: Make) -> None:
    rows = [record(strategy=s, median_s=t, rel_error=e) for s, t, e in (("a", 1e-6, 1e-9), ("b", 2e-6, 0.0))]
    axes = axes_of(PLOTS["pareto"](rows))
    (front,) = lines_of(axes, "front")
    assert list(front.get_ydata())[1] == markers_of(axes, "b")[2e-6] < 1e-16


def test_one_strategy_is_no_picture(record: Make) -> None:
    assert picture_of("pareto", [record(n=n, rel_error=0.0) for n in (1, 2)]) is None
    assert picture_of("pareto", [record(rel_error=None), record(strategy="jvp", rel_error=0.0)]) is None


@given(st.lists(st.tuples(st.sampled_from([1.0, 2.0, 3.0, 4.0]), st.sampled_from([0.0, 0.1, 0.2, 0.3])), min_size=1))
def test_the_front_is_what_nothing_else_equals_or_beats(values: list[tuple[float, float]]) -> None:
    lines = [Curve(str(i), (x,), (CurvePoint(x, y, None, None, False),), "") for i, (x, y) in enumerate(values)]
    front = [(point.n, point.value) for _, point in pareto_front(lines)]
    beaten = {(x, y) for x, y in values if any(a <= x and b <= y and (a, b) != (x, y) for a, b in values)}
    assert front == sorted({*values} - beaten)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_epsilon_is_on_it(dtype: str, record: Make) -> None:
    rows = [record(strategy=s, median_s=t, rel_error=1e-3, dtype=dtype) for s, t in (("a", 1e-6), ("b", 2e-6))]
    assert f"ε of {dtype}" in texts_of(PLOTS["pareto"](rows))
