from collections.abc import Callable

import pytest

from jacstrat.record import Record
from jacstrat.report.analysis.noisy_times import noisy_times, noisy_times_table
from jacstrat.report.figures.samples import drift

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
