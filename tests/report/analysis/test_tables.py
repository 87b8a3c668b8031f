from collections.abc import Callable, Iterable

import pandas as pd

from jacstrat.core.status import STATUSES
from jacstrat.record import Record
from jacstrat.report.analysis.case_sheets import records_table
from jacstrat.report.analysis.tables import (
    failures_table,
    growth_table,
    unsupported_table,
    winners_table,
    wrong_table,
)
from tests.report.analysis.printed import rows_of, text_of

Make = Callable[..., Record]
Sweep = Callable[..., list[Record]]
FrameOf = Callable[[Iterable[Record]], pd.DataFrame]


def test_the_winners_read_as_a_sentence(sweep: Sweep, frame_of: FrameOf) -> None:
    rows = rows_of(text_of(winners_table(frame_of(sweep("linear") + sweep("sin"))), width=120))
    # The second range of a problem does not repeat its name.
    assert rows[0][:5] == ["divergence", "of", "linear", "1–2", "jvp"]
    assert rows[1][:2] == ["4–64", "vmap"]
    assert rows[2][:5] == ["divergence", "of", "sin", "1", "jvp"]
    assert rows[3][:2] == ["2–64", "ones"]
    assert len(rows) == 4


def test_the_winners_numbers_are_ranges(record: Make, frame_of: FrameOf) -> None:
    rows = [
        record(n=n, strategy=strategy, median_s=us * 1e-6, cost_ratio=us)
        for n, times in ((1, (2.0, 4.0, 8.0)), (2, (3.0, 9.0, 90.0)))
        for strategy, us in zip(("jvp", "vmap", "identity"), times, strict=True)
    ]
    (row,) = rows_of(text_of(winners_table(frame_of(rows)), width=120))
    assert row[3:] == ["1–2", "jvp", "2.00–3.00", "µs", "2.00–3.00", "2.00–3.00×", "4.00–30.0×"]


def test_a_network_stands_beside_its_best_known_cost(record: Make, frame_of: FrameOf) -> None:
    network = {"flops": 3000, "best_flops": 2000, "over_floor": 4.5}
    rows = [
        record(problem="net", **network),
        record(problem="net", strategy="jvp", median_s=20e-6, flops=8000, best_flops=2000, over_floor=9.0),
        record(problem="sin", flops=0),
    ]
    winners = text_of(winners_table(frame_of(rows)), width=160)
    assert "itself as a multiple of a network's best-known FLOPs and of their floor in time" in winners
    found = rows_of(winners)
    assert found[0][-2:] == ["1.50×", "4.50×"]
    assert "×" not in " ".join(found[1])
    cases = text_of(records_table(frame_of(rows)), width=160)
    assert ["1.50×", "4.50×"] in [row[-2:] for row in rows_of(cases)]
    assert ["4.00×", "9.00×"] in [row[-2:] for row in rows_of(cases)]
    # Without one there is no column and no word of it.
    assert "best" not in text_of(winners_table(frame_of(rows[2:])), records_table(frame_of(rows[2:])), width=160)


def test_flops_that_were_not_counted_are_not_compared(record: Make, frame_of: FrameOf) -> None:
    text = text_of(records_table(frame_of([record(best_flops=2000, over_floor=4.5)])), width=160)
    assert "4.50×" in text
    assert "best FLOPs" not in text


def test_a_column_for_what_differs_between_settings(record: Make, frame_of: FrameOf) -> None:
    one = text_of(winners_table(frame_of([record()])))
    two = text_of(winners_table(frame_of([record(), record(batch=64, dtype="float32")])))
    assert "case" not in one
    assert "B = 1, float64" in two
    assert "B = 64, float32" in two


def test_no_right_result(record: Make, frame_of: FrameOf) -> None:
    assert "no right result" in text_of(winners_table(frame_of([record(status="wrong")])))


def test_wrong_results_say_where_and_how_far(sweep: Sweep, frame_of: FrameOf) -> None:
    rows = rows_of(text_of(wrong_table(frame_of(sweep("linear")))))
    assert rows == [["divergence", "of", "linear", "ones", "2–64", "0.42–2.4", "6", "of", "7"]]


def test_failures_give_their_reasons(record: Make, frame_of: FrameOf) -> None:
    rows = [
        record(n=n, status=status, reason=f"because {status}", median_s=None) for n, status in enumerate(STATUSES, 1)
    ]
    failed, cannot = text_of(failures_table(frame_of(rows))), text_of(unsupported_table(frame_of(rows)))
    for status in ("skipped", "timeout", "oom", "crashed", "error"):
        assert f"because {status}" in failed
    assert "unsupported" not in failed
    assert "because unsupported" in cannot
    assert len(rows_of(cannot)) == 1


def test_a_long_reason_wraps_and_stays_whole(record: Make, frame_of: FrameOf) -> None:
    reason = " ".join(f"word{i}" for i in range(60))
    text = text_of(failures_table(frame_of([record(status="error", reason=reason, median_s=None)])))
    assert all(word in text for word in reason.split())
    # It takes the width that the other columns leave, instead of the few characters of a name.
    assert len(text.splitlines()) < 20


def test_growth(record: Make, frame_of: FrameOf) -> None:
    rows = [record(n=2**k, median_s=1e-6 * 4**k) for k in range(6)]
    assert rows_of(text_of(growth_table(frame_of(rows))))[0][3:] == ["vmap", "2.00", "±", "0.00", "8–32"]


def test_growth_of_time_and_of_error_over_their_own_n(record: Make, frame_of: FrameOf) -> None:
    # Exact at n = 32, which no logarithm has a place for.
    rows = [record(n=2**k, median_s=1e-6 * 4**k, rel_error=1e-16 * 2**k * (k != 5)) for k in range(7)]
    (row,) = rows_of(text_of(growth_table(frame_of(rows)), width=120))
    assert row[3:] == ["vmap", "2.00", "±", "0.00", "8–64", "1.00", "±", "0.00", "8–64"]
    rows = rows[:6]
    (row,) = rows_of(text_of(growth_table(frame_of(rows)), width=120))
    assert row[3:] == ["vmap", "2.00", "±", "0.00", "8–32", "1.00", "±", "0.00", "4–16"]


def test_wrong_rows_stand_out_with_and_without_colour(record: Make, frame_of: FrameOf) -> None:
    table = records_table(frame_of([record(strategy="ones", status="wrong"), record(strategy="vmap", median_s=2e-5)]))
    assert [row[2] for row in rows_of(text_of(table))] == ["WRONG", "ok"]
    coloured = [line for line in text_of(table, color=True).splitlines() if "\x1b[1;31m" in line]
    assert len(coloured) == 1
    assert "ones" in coloured[0]
