"""Pictures of columns that only some records have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from jacstrat.record import Record
from jacstrat.report.analysis.runs import Run
from jacstrat.report.figures.picture import Picture
from jacstrat.report.figures.plots import picture_of
from jacstrat.report.figures.roofline import LIGHT, NEEDS, ROOFLINE, SPLIT, absent
from jacstrat.report.figures.split import draw_split, splits
from jacstrat.report.page.write import page

Make = Callable[..., Record]


@pytest.fixture
def seen(record: Make) -> Callable[..., Record]:
    """R = 1e9 FLOPs and W = 1e8 bytes a second."""

    def made(strategy: str, flops: int, moved: int, median_s: float, kernel: float = 0.25, **values) -> Record:
        plain = asdict(record(strategy=strategy, median_s=median_s, **values)) | {"flops": flops, "moved_bytes": moved}
        plain |= {"compute_s": flops / 1e9, "memory_s": moved / 1e8, "over_light": median_s / 1e-6}
        plain |= {"kernels": 3, "kernel_s": median_s * kernel, "gap_s": median_s * (1 - kernel)}
        return Record(**plain)

    return made


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


def test_where_the_time_goes_is_told_of_the_fastest_right_one(seen: Callable[..., Record]) -> None:
    rows = [seen("bad", 1, 1, 1e-6, status="wrong"), seen("a", 1, 1, 2e-6), seen("b", 1, 1, 4e-6, kernel=0.9)]
    (found,) = splits(rows)
    assert [part.strategy for part in found.parts] == ["bad", "a", "b"]
    assert found.answer == "Fastest: a, launch-bound, 75% waiting"
    assert found.parts[2].bound == "kernel-bound, 10% waiting"
    assert found.parts[0].words == "1.00 µs, 3 kernels, wrong"
    (axes,) = draw_split(found).axes
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == pytest.approx([0.25, 0.75, 0.25, 0.75, 0.9, 0.1])


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
