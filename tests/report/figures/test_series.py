from collections.abc import Callable

import pytest

from jacstrat.record import Record
from jacstrat.report.figures.series import Curve, CurvePoint, series_of

Make = Callable[..., Record]


def line(ns: tuple[int, ...], wrong: str, at: tuple[int, ...] | None = None) -> Curve:
    """A series over ns with points at some of them; `wrong` has a "w" for each wrong point."""
    points = tuple(CurvePoint(n, 1.0, None, None, sign == "w") for n, sign in zip(at or ns, wrong, strict=True))
    return Curve("vmap", ns, points, "")


def test_points_are_what_the_records_hold(record: Make) -> None:
    rows = [record(n=n, median_s=n * 1e-6, q1_s=n * 0.9e-6, q3_s=None) for n in (1, 2)]
    (series,) = series_of(rows, "median_s", "q1_s", "q3_s")
    assert series.points == (CurvePoint(1, 1e-6, 0.9e-6, None, False), CurvePoint(2, 2e-6, 1.8e-6, None, False))


def test_without_columns_for_a_band_there_is_none(record: Make) -> None:
    (series,) = series_of([record(rel_error=0.0)], "rel_error")
    assert series.points == (CurvePoint(4, 0.0, None, None, False),)


def test_failed_and_unmeasured_cases_give_no_point(record: Make) -> None:
    rows = [
        record(n=1, median_s=None),
        record(n=2, status="wrong"),
        record(n=4, status="timeout", median_s=1.0),
        record(strategy="jvp", median_s=None),
    ]
    (series,) = series_of(rows, "median_s")
    assert [(point.n, point.wrong) for point in series.points] == [(2, True)]
    assert series.ns == (1, 2, 4)


def test_the_highest_end_comes_first(record: Make) -> None:
    ends = {"low": (9, 1), "high": (1, 9), "short": (99, None)}
    rows = [
        record(strategy=name, n=n, median_s=value)
        for name, row in ends.items()
        for n, value in zip((1, 2), row, strict=True)
    ]
    assert [series.strategy for series in series_of(rows, "median_s")] == ["high", "low", "short"]


@pytest.mark.parametrize(
    ("wrong", "runs"),
    [
        ("....", [(1, 2, 4, 8)]),
        ("wwww", [(1, 2, 4, 8)]),
        (".www", [(1, 2, 4, 8)]),
        ("..ww", [(1, 2), (2, 4, 8)]),
        (".w..", [(1, 2, 4), (4, 8)]),
        ("w...", [(1, 2), (2, 4, 8)]),
    ],
)
def test_runs_part_lines_that_touch_a_wrong_point(wrong: str, runs: list[tuple[int, ...]]) -> None:
    found = line((1, 2, 4, 8), wrong).runs()
    assert [tuple(point.n for point in run) for run in found] == runs


def test_a_missing_n_breaks_the_line() -> None:
    found = line((1, 2, 4, 8, 16), "....", at=(1, 2, 8, 16)).runs()
    assert [tuple(point.n for point in run) for run in found] == [(1, 2), (8, 16)]


def test_a_lone_point_has_no_line() -> None:
    assert line((1, 2), ".", at=(2,)).runs() == ()


@pytest.mark.parametrize(("wrong", "mostly"), [("..", False), (".w", False), (".ww", True), ("w", True)])
def test_a_series_is_wrong_when_more_of_it_is_than_not(wrong: str, mostly: bool) -> None:
    assert line((1, 2, 4)[: len(wrong)], wrong).wrong is mostly


@pytest.mark.parametrize(
    ("statuses", "remark"),
    [
        (("ok", "ok", "ok"), ""),
        (("wrong", "wrong", "wrong"), "wrong"),
        (("ok", "wrong", "wrong"), "wrong at n = 2–4"),
        (("wrong", "ok", "wrong"), "wrong at n = 1, 4"),
        (("ok", "timeout", "skipped"), "timeout at n = 2"),
        (("ok", "skipped", "oom"), "oom at n = 4"),
        (("ok", "skipped", "skipped"), "skipped at n = 2–4"),
        (("ok", "wrong", "crashed"), "wrong at n = 2\ncrashed at n = 4"),
        (("wrong", "error", "error"), "wrong\nerror at n = 2–4"),
    ],
)
def test_remark(record: Make, statuses: tuple[str, ...], remark: str) -> None:
    rows = [record(n=n, status=status) for n, status in zip((1, 2, 4), statuses, strict=True)]
    (series,) = series_of(rows, "median_s")
    assert series.remark == remark
