from __future__ import annotations

from collections.abc import Callable, Iterable

import pandas as pd
import pytest

from jacstrat.record import Record
from jacstrat.report.analysis.payback import NEGLIGIBLE_S, paybacks
from jacstrat.report.analysis.tables import paybacks_table
from tests.report.analysis.test_findings import findings_of

Make = Callable[..., Record]
FrameOf = Callable[[Iterable[Record]], pd.DataFrame]


def pair(record: Make, **values) -> list[Record]:
    """A strategy that takes 0.3 s to prepare and 1 ms a call, and one that takes 0.1 s and 3 ms."""
    return [
        record(strategy="coloring", **{"prepare_s": 0.3, "median_s": 1e-3, **values}),
        record(strategy="vmap", prepare_s=0.1, median_s=3e-3),
        record(strategy="identity", prepare_s=0.01, median_s=9e-3),
    ]


def test_the_longer_preparation_over_what_a_call_saves(record: Make, frame_of: FrameOf) -> None:
    (found,) = paybacks(frame_of(pair(record)))
    assert (found.n, found.strategy, found.other) == (4, "coloring", "vmap")
    assert (found.extra_s, found.saved_s) == (pytest.approx(0.2), pytest.approx(2e-3))
    assert found.calls == 100


def test_a_part_of_a_call_is_a_call(record: Make, frame_of: FrameOf) -> None:
    (found,) = paybacks(frame_of(pair(record, prepare_s=0.3011)))
    assert found.calls == 101


@pytest.mark.parametrize(
    "values",
    [
        {"prepare_s": 0.1 + NEGLIGIBLE_S / 2},
        {"prepare_s": 0.05},
        {"prepare_s": None},
        {"median_s": 4e-3},
        {"status": "wrong"},
    ],
)
def test_what_has_nothing_to_pay_back(record: Make, frame_of: FrameOf, values) -> None:
    assert [found for found in paybacks(frame_of(pair(record, **values))) if found.strategy == "coloring"] == []


def test_what_is_level_with_the_next_pays_at_no_known_number(record: Make, frame_of: FrameOf) -> None:
    first, second, _ = pair(record)
    rows = [
        record(strategy=r.strategy, prepare_s=r.prepare_s, median_s=r.median_s, over_fastest_low=low)
        for r, low in ((first, 1.0), (second, 0.9))
    ]
    assert paybacks(frame_of(rows)) == ()


def test_alone_it_has_nothing_to_be_compared_with(record: Make, frame_of: FrameOf) -> None:
    assert paybacks(frame_of([record(prepare_s=1.0)])) == ()


def test_the_findings_say_it_in_one_table(record: Make, frame_of: FrameOf) -> None:
    sheet = paybacks_table(frame_of(pair(record)))
    assert [column.header for column in sheet.columns][:4] == ["problem", "n", "strategy", "pays after"]
    assert sheet.rows == (("divergence of sin", "4", "coloring", "100 calls", "vmap", "200 ms", "2.00 ms"),)
    text = findings_of(frame_of(pair(record)), width=120)
    assert text.count("pays after") == 1
    assert "100 calls" in text
