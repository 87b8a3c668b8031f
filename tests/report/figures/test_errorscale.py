import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from jacstrat.report.figures.errorscale import ErrorScale
from jacstrat.report.figures.series import Curve, CurvePoint

EPSILON = 2.0**-52


def line(strategy: str, *values: float) -> Curve:
    ns = tuple(2**i for i in range(len(values)))
    return Curve(strategy, ns, tuple(CurvePoint(n, v, None, None, False) for n, v in zip(ns, values, strict=True)), "")


def test_every_error_lies_between_the_ends() -> None:
    scale = ErrorScale.of([line("a", 3e-16, 2.0), line("b", 0.0)], EPSILON)
    assert (scale.low, scale.high, scale.exact, scale.infinite) == (-16, 1, ("b",), False)


def test_small_differences_are_not_blown_up() -> None:
    scale = ErrorScale.of([line("a", 1.1e-16)], EPSILON)
    assert scale.high - scale.low == 3


@pytest.mark.parametrize("values", [(0.0,), (math.inf,), (0.0, math.inf)])
def test_errors_of_no_size_have_a_scale(values: tuple[float, ...]) -> None:
    series = line("a", *values)
    scale = ErrorScale.of([series], None)
    assert scale.low < scale.high
    assert [0 < scale.height(series, point) < math.inf for point in series.points] == [True] * len(values)


@pytest.mark.long
@given(st.lists(st.sampled_from([0.0, 1e-17, 2e-16, 1e-3, 4.0, math.inf]), min_size=1, max_size=60))
def test_exact_and_infinite_stand_in_bands_of_their_own(values: list[float]) -> None:
    series = [line(f"s{i}", value) for i, value in enumerate(values)]
    scale = ErrorScale.of(series, EPSILON)
    axes = Figure().add_subplot()
    axes.set_yscale("log")
    scale.apply(axes)
    bottom, top = axes.get_ylim()
    places = [scale.height(each, each.points[0]) for each in series]
    exact = [place for place, value in zip(places, values, strict=True) if value == 0]
    assert all(bottom < place < 10.0**scale.low for place in exact)
    assert len(set(exact)) == len(exact)
    assert exact == sorted(exact, reverse=True)
    for place, value in zip(places, values, strict=True):
        if value == math.inf:
            assert 10.0**scale.high < place < top
        elif value:
            assert place == value
            assert 10.0**scale.low <= value <= 10.0**scale.high
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert ("exact" in labels) == (0.0 in values)
    assert ("infinite" in labels) == (math.inf in values)
