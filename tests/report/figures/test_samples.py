"""Samples over time, of those times that are to be doubted."""

import json
from collections.abc import Callable

from jacstrat.record import Record
from jacstrat.report.figures.plots import PLOTS, picture_of
from jacstrat.report.figures.samples import MOST_LINES, MOST_POINTS
from tests.report.figures.artists import axes_of, markers_of

Make = Callable[..., Record]
GOOD = {"median_s": 1e-5, "ci_low_s": 0.99e-5, "ci_high_s": 1.01e-5, "samples": 20}


def samples_of(row: Record, seconds: list[float]) -> dict[str, dict[str, object]]:
    return {row.case: {"rounds": list(range(len(seconds))), "seconds": seconds, "dropped": {}}}


def test_the_plot_shows_the_samples_over_their_median(record: Make) -> None:
    row = record(**{**GOOD, "stop_reason": "throttled"})
    seconds = [1e-5, 2e-5, 3e-5, 2e-5, 4e-5, 6e-5, 2e-5]
    axes = axes_of(PLOTS["samples"]([row], None, samples_of(row, seconds)))
    assert markers_of(axes, "vmap") == {i: value / 2e-5 for i, value in enumerate(seconds)}
    assert axes.get_xlabel() == "round"
    picture = picture_of("samples", [row], None, samples_of(row, seconds))
    assert picture is not None
    assert picture.series[0].remark == "median 20.0 µs\ndrifts by 2.67×"


def test_many_rounds_share_points_with_their_extent(record: Make) -> None:
    row = record(**{**GOOD, "stop_reason": "throttled"})
    seconds = [1.0 + i % 2 for i in range(3 * MOST_POINTS)]
    picture = picture_of("samples", [row], None, samples_of(row, seconds))
    assert picture is not None
    (line,) = picture.series
    assert len(line.points) == MOST_POINTS
    assert {(point.low, point.high) for point in line.points} == {(2 / 3, 4 / 3)}


def test_the_plot_shows_the_worst_few_of_the_worst_n(record: Make) -> None:
    rows = [record(**{**GOOD, "ci_high_s": (1.3 + k / 50) * 1e-5}, strategy=f"s{k}", n=8 if k else 2) for k in range(9)]
    samples: dict[str, dict[str, object]] = {}
    for row in rows:
        samples |= samples_of(row, [1e-5] * 6)
    picture = picture_of("samples", rows, None, samples)
    assert picture is not None
    assert {line.strategy for line in picture.series} == {f"s{k}" for k in range(9 - MOST_LINES, 9)}
    assert picture.title.endswith("n = 8")


def test_without_samples_there_is_no_plot(record: Make) -> None:
    row = record(**{**GOOD, "stop_reason": "throttled"})
    assert PLOTS["samples"]([row]) is None
    assert PLOTS["samples"]([row], None, {row.case: json.loads('{"seconds": []}')}) is None
