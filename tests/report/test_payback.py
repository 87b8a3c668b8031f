from __future__ import annotations

from collections.abc import Callable, Iterable

import pandas as pd
import pytest

from jacstrat.records import Record
from jacstrat.report.payback import NEGLIGIBLE_S, paybacks
from tests.report.test_tables import findings_of

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


def test_the_findings_say_it(record: Make, frame_of: FrameOf) -> None:
    text = " ".join(findings_of(frame_of(pair(record)), width=80).split())
    assert (
        "Divergence of sin, float64, cpu, B = 1, n = 4: coloring takes 200 ms more to prepare than vmap and 2.00 ms "
        "less a call: it pays after 100 calls."
    ) in text
