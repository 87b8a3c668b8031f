"""Every case in full: what stands in its row, and which columns are worth their place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import pandas as pd
import pytest

from jacstrat.record import Record
from jacstrat.report.analysis.case_sheets import records_table
from tests.report.analysis.printed import rows_of, text_of

Make = Callable[..., Record]
FrameOf = Callable[[Iterable[Record]], pd.DataFrame]


def test_the_median_error_stands_beside_a_worst_one_that_differs_much(record: Make, frame_of: FrameOf) -> None:
    rows = [record(strategy="a", rel_error=1e-13, rel_error_median=1e-14), record(strategy="b", rel_error=2e-16)]
    text = text_of(records_table(frame_of(rows)), width=120)
    assert "median error" in text
    assert [row[-1] for row in rows_of(text)] == ["1.0e-14", "2.0e-16"]
    near = [record(rel_error=1e-13, rel_error_median=2e-14), record(strategy="b", rel_error=1e-16, rel_error_median=0)]
    assert "median error" not in text_of(records_table(frame_of(near)), width=120)


def test_large_cancellation_is_shown(record: Make, frame_of: FrameOf) -> None:
    rows = [record(n=n, rel_error=1e-16, cancellation=c) for n, c in ((1, 1.0), (2, 99.0), (3, 1e4), (4, math.inf))]
    text = text_of(records_table(frame_of(rows)), width=120)
    assert [row[-1] for row in rows_of(text)] == ["1.0e-16", "1.0e-16", "1.0e+04", "inf"]
    assert "cancellation" not in text_of(records_table(frame_of(rows[:2])), width=120)


def test_the_full_table_fits_80_columns_and_shows_every_value(record: Make, frame_of: FrameOf) -> None:
    row = record(
        strategy="vmap:chunk_size=8",
        n=1001,
        cost_ratio=12.34,
        peak_bytes=1536,
        rel_error=1.14e-16,
        q1_s=9.6e-6,
        q3_s=10.4e-6,
    )
    text = text_of(records_table(frame_of([row])))
    (cells,) = rows_of(text)
    assert cells == [
        "vmap:chunk_size=8",
        "1001",
        "ok",
        "10.0",
        "µs",
        "[9.60,",
        "10.4]",
        "12.3",
        "1.1e-16",
        "1.50",
        "KiB",
    ]
    assert text.startswith("divergence of sin, B = 1, float64, cpu, evaluate, 1 thread, seed 0\n")
    assert "not shown" not in text


def test_the_full_table_puts_the_fastest_first_at_each_n(record: Make, frame_of: FrameOf) -> None:
    rows = [
        record(strategy="a", n=2, median_s=None, status="oom"),
        record(strategy="b", n=2, median_s=5e-6),
        record(strategy="c", n=2, median_s=1e-6),
        record(strategy="d", n=1, median_s=9e-6),
    ]
    assert [row[0] for row in rows_of(text_of(records_table(frame_of(rows))))] == ["d", "c", "b", "a"]


def test_the_full_table_has_a_column_for_what_differs(record: Make, frame_of: FrameOf) -> None:
    text = text_of(records_table(frame_of([record(), record(batch=64, device="cuda")])), width=100)
    assert [row[2:4] for row in rows_of(text)] == [["1", "cpu"], ["64", "cuda"]]
    assert "B = 1" not in text


@pytest.mark.parametrize(
    ("exact", "error", "cell"), [(True, 0.0, "exact"), (False, 1e-16, "1.0e-16"), (None, 0.0, "0")]
)
def test_exact_results_are_called_so(
    record: Make, frame_of: FrameOf, exact: bool | None, error: float, cell: str
) -> None:
    assert rows_of(text_of(records_table(frame_of([record(exact=exact, rel_error=error)]))))[0][-1] == cell
