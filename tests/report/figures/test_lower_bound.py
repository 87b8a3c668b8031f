from collections.abc import Callable

from matplotlib.collections import PolyCollection

from jacstrat.record import Record
from jacstrat.report.figures.plots import PLOTS
from tests.report.figures.artists import axes_of, lines_of, markers_of, texts_of

Make = Callable[..., Record]


def test_the_distance_in_time_with_its_interval(record: Make) -> None:
    rows = [record(n=n, over_floor=3.0 * n, over_floor_low=2.5 * n, over_floor_high=4.0 * n) for n in (1, 2, 4)]
    figure = PLOTS["floor"](rows)
    axes = axes_of(figure)
    assert markers_of(axes, "vmap") == {1: 3.0, 2: 6.0, 4: 12.0}
    (band,) = [item for item in axes.collections if isinstance(item, PolyCollection)]
    assert {tuple(corner) for corner in band.get_paths()[0].vertices} >= {(1, 2.5), (4, 16.0)}
    assert set(lines_of(axes, "best known")[0].get_ydata()) == {1.0}
    assert "Nearest at n = 4: vmap, 12.0× the best-known cost" in texts_of(figure)


def test_the_distance_in_flops(record: Make) -> None:
    rows = [record(n=n, flops=6 * n, best_flops=4) for n in (1, 2)]
    rows += [record(strategy="jvp", n=1, flops=None, best_flops=4), record(strategy="jvp", n=2, flops=8, best_flops=4)]
    axes = axes_of(PLOTS["best-flops"](rows))
    assert markers_of(axes, "vmap") == {1: 1.5, 2: 3.0}
    assert markers_of(axes, "jvp") == {2: 2.0}


def test_a_wrong_result_is_not_the_nearest(record: Make) -> None:
    rows = [record(over_floor=3.0, n=2), record(strategy="ones", n=2, over_floor=1.0, status="wrong")]
    assert "Nearest at n = 2: vmap, 3.00× the best-known cost" in texts_of(PLOTS["floor"](rows))
    assert "No right result." in texts_of(PLOTS["floor"](rows[1:]))


def test_without_a_best_known_cost_there_is_no_plot(record: Make) -> None:
    assert PLOTS["floor"]([record()]) is None
    assert PLOTS["best-flops"]([record(flops=3)]) is None
