import json
from collections.abc import Callable

import pytest

from jacstrat.record import Record
from jacstrat.report.analysis.noisy_times import noisy_times, noisy_times_table
from jacstrat.report.figures.plots import PLOTS, picture_of
from jacstrat.report.figures.samples import MOST_LINES, MOST_POINTS, drift
from tests.report.figures.artists import axes_of, markers_of

Make = Callable[..., Record]
GOOD = {"median_s": 1e-5, "ci_low_s": 0.99e-5, "ci_high_s": 1.01e-5, "samples": 20}


def test_a_good_time_is_not_doubted_nor_is_none(record: Make) -> None:
    assert noisy_times([record(**GOOD), record(**{**GOOD, "median_s": None}), record(samples=None)]) == ()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"ci_low_s": 0.8e-5, "ci_high_s": 1.2e-5}, "the median is known to ±20%"),
        ({"q1_s": 0.7e-5, "q3_s": 1.3e-5}, "the quartiles are 60% of the median apart"),
        ({"stop_reason": "throttled"}, "the card was slowed down"),
        ({"ci_low_s": None, "samples": 5}, "5 samples are too few for an interval"),
        ({"ci_low_s": None, "samples": 1}, "1 sample is too few for an interval"),
    ],
)
def test_why_a_time_is_doubted(values: dict[str, object], reason: str, record: Make) -> None:
    (found,) = noisy_times([record(**{**GOOD, **values})])
    assert found.reasons == (reason,)


def test_the_worst_stands_first(record: Make) -> None:
    wide = [record(**{**GOOD, "ci_high_s": (1 + x) * 1e-5}, strategy=name) for name, x in (("a", 0.4), ("b", 0.9))]
    few = record(**{**GOOD, "ci_low_s": None}, strategy="c")
    assert [doubt.record.strategy for doubt in noisy_times([*wide, few])] == ["c", "b", "a"]
    assert [row[1] for row in noisy_times_table([*wide, few]).rows] == ["c", "b", "a"]


def test_drift_is_the_last_third_over_the_first() -> None:
    assert drift([1.0, 1.0, 9.0, 9.0, 2.0, 2.0]) == 2
    assert drift([1.0] * 5) is None


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
