"""The answer of a run as one table: a row a range of n, who is fastest, the next and the slowest, and who is wrong."""

from __future__ import annotations

from collections.abc import Callable

from jacstrat.record import Record
from jacstrat.report.analysis.answers import winner_ranges
from jacstrat.report.page.answer import answer_sheet

Make = Callable[..., Record]


def rows_of(records: list[Record]) -> list[dict[str, str]]:
    sheet = answer_sheet(records, winner_ranges(records))
    headers = [column.header for column in sheet.columns]
    return [dict(zip(headers, row, strict=True)) for row in sheet.rows]


def test_a_range_names_the_fastest_and_those_that_are_wrong_in_it_the_worst_first(record: Make) -> None:
    records = [
        made
        for n in (2, 4, 8)
        for made in (
            record(strategy="vmap", n=n, median_s=1e-6 * n),
            record(strategy="jvp", n=n, median_s=3e-6 * n),
            record(strategy="ones", n=n, status="wrong", median_s=1e-7, rel_error=0.5),
            record(strategy="taylor", n=n, status="wrong", median_s=1e-7, rel_error=2.0 if n == 8 else 0.1),
        )
    ]
    (row,) = rows_of(records)
    assert row["fastest"] == "vmap"
    assert (row["n"], row["wrong"]) == ("2–8", "taylor, ones")
    assert row["next"].endswith(" jvp")
    assert row["slowest"].endswith(" jvp")


def test_an_error_that_is_not_known_is_the_worst(record: Make) -> None:
    records = [
        record(strategy="vmap"),
        record(strategy="ones", status="wrong", rel_error=1e9),
        record(strategy="taylor", status="wrong", rel_error=None),
    ]
    (row,) = rows_of(records)
    assert row["wrong"] == "taylor, ones"


def test_where_nothing_is_right_it_says_so_and_stands_out(record: Make) -> None:
    records = [record(strategy="ones", status="wrong", rel_error=1.0), record(problem="cos")]
    sheet = answer_sheet(records, winner_ranges(records))
    fastest = [column.header for column in sheet.columns].index("fastest")
    told = [(row[fastest], style) for row, style in zip(sheet.rows, sheet.styles, strict=True)]
    assert sorted(told) == [("no right result", "yellow"), ("vmap", "")]
