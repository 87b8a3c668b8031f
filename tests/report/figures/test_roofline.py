"""Pictures of columns that only some records have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jacstrat.record import Record
from jacstrat.report.analysis.runs import Run
from jacstrat.report.figures.picture import Picture
from jacstrat.report.figures.plots import picture_of
from jacstrat.report.figures.roofline import LIGHT, NEEDS, ROOFLINE, SPLIT, absent
from jacstrat.report.page.write import page

Make = Callable[..., Record]


def drawn(name: str, rows: list[Record]) -> Picture:
    picture = picture_of(name, rows)
    assert picture is not None
    return picture


def test_the_roof_is_the_least_of_two_rates_with_its_ridge(seen: Callable[..., Record]) -> None:
    rows = [seen("a", 1000, 1000, 2e-5), seen("b", 100_000, 1000, 2e-4), seen("old", 1, 1, 1.0, n=1)]
    picture = drawn(ROOFLINE, rows)
    assert {line.strategy: line.points[0].n for line in picture.series} == {"a": 1, "b": 100}
    assert {line.strategy: line.points[0].value for line in picture.series} == pytest.approx({"a": 5e7, "b": 5e8})
    (roof,) = picture.references
    assert [value for point in roof.points for value in point] == pytest.approx([1, 1e8, 10, 1e9, 100, 1e9])
    assert picture.title.endswith("n = 4")
    assert "50% of " in picture.answer


def test_the_time_over_the_light_is_that_of_the_records(seen: Callable[..., Record]) -> None:
    picture = drawn(LIGHT, [seen("a", 1, 1, 2e-5), seen("b", 1, 1, 4e-5, status="wrong")])
    assert {line.strategy: line.points[0].value for line in picture.series} == pytest.approx({"a": 20, "b": 40})
    assert picture.answer == "Nearest at n = 4: a, 20.0× the least time"


def test_the_page_draws_them_where_they_are_and_names_them_where_not(seen: Callable[..., Record], record: Make) -> None:
    rows = (seen("a", 1000, 1000, 2e-5), seen("b", 100_000, 1000, 2e-4))
    full, bare = (page([Run("run", Path("run"), found)]) for found in (rows, (record(),)))
    for name in NEEDS:
        assert f'data-name="{name}"' in full
        assert f'data-name="{name}"' not in bare
        assert absent(name, rows) == ""
        assert absent(name, [record()]) in bare
    assert absent(SPLIT, [record()]) == (
        "time-split: no record has kernel_s or gap_s; it needs a device whose kernels a profiler sees"
    )
    assert "Plots that are not drawn" not in full
