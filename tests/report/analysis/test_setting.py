from collections.abc import Callable, Iterable

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.record import Record
from jacstrat.report.analysis.setting import Setting, by_setting, spans, to_records, varying

Make = Callable[..., Record]
FrameOf = Callable[[Iterable[Record]], pd.DataFrame]
SIN = Setting("sin", "divergence", 1, "float64", "cpu", "evaluate", 1, 0)


def test_records_come_back_as_they_were_written(record: Make, frame_of: FrameOf) -> None:
    full = record(rel_error=1.5e-16, exact=False, peak_bytes=2**53 + 1, reason="größe [red]", reference="closed form")
    bare = record(n=8, status="timeout", median_s=None)
    assert to_records(frame_of([full, bare])) == [full, bare]


def test_values_are_plain_python(record: Make, frame_of: FrameOf) -> None:
    (back,) = to_records(frame_of([record(exact=True, peak_bytes=3)]))
    assert [type(value) for value in (back.n, back.median_s, back.exact, back.peak_bytes)] == [int, float, bool, int]


def test_the_last_row_of_a_case_counts(record: Make, frame_of: FrameOf) -> None:
    rows = [record(status="crashed", median_s=None), record(n=8), record(median_s=7e-6)]
    assert [(r.n, r.status, r.median_s) for r in to_records(frame_of(rows))] == [(4, "ok", 7e-6), (8, "ok", 10e-6)]


@pytest.mark.parametrize("column", ["n", "strategy", "status", "case"])
def test_a_torn_row_is_left_out(record: Make, frame_of: FrameOf, column: str) -> None:
    frame = frame_of([record(n=1), record(n=2)])
    frame.loc[1, column] = pd.NA
    assert [r.n for r in to_records(frame)] == [1]


def test_nan_counts_as_missing(record: Make, frame_of: FrameOf) -> None:
    frame = frame_of([record()]).astype({"median_s": "float64"})
    frame.loc[0, "median_s"] = float("nan")
    assert to_records(frame)[0].median_s is None


def test_an_empty_frame_has_no_records(frame_of: FrameOf) -> None:
    assert to_records(frame_of([])) == []


def test_groups_keep_their_order_and_sort_their_records(record: Make) -> None:
    rows = [record(problem="z", n=8), record(problem="a", n=2), record(problem="z", n=1)]
    groups = by_setting(rows)
    assert [(setting.problem, [r.n for r in group]) for setting, group in groups.items()] == [("z", [1, 8]), ("a", [2])]


@pytest.mark.parametrize(
    ("column", "value"),
    [("batch", 2), ("dtype", "float32"), ("device", "cuda"), ("workload", "train"), ("threads", 2), ("seed", 1)],
)
def test_what_cannot_be_compared_is_apart(record: Make, column: str, value: object) -> None:
    groups = by_setting([record(), record(**{column: value})])
    assert len(groups) == 2
    assert varying(groups) == (column,)


@pytest.mark.parametrize(
    ("values", "also", "title"),
    [
        ({}, (), "Divergence of sin, float64, cpu, B = 1"),
        ({"operator": "laplacian", "batch": 64}, (), "Laplacian of sin, float64, cpu, B = 64"),
        ({"operator": "jacobian_diagonal"}, (), "Jacobian diagonal of sin, float64, cpu, B = 1"),
        ({"workload": "train"}, (), "Divergence of sin, float64, cpu, B = 1, train"),
        ({}, ("workload", "batch"), "Divergence of sin, float64, cpu, B = 1, evaluate"),
        ({"threads": 2}, ("threads", "seed"), "Divergence of sin, float64, cpu, B = 1, 2 threads, seed 0"),
    ],
)
def test_title(values: dict[str, object], also: tuple[str, ...], title: str) -> None:
    assert Setting(**{**vars(SIN), **values}).title(also=also) == title


def test_words_name_only_what_is_asked_for() -> None:
    assert SIN.words(["batch", "threads"]) == "B = 1, 1 thread"
    assert SIN.words([]) == ""


@pytest.mark.parametrize(
    ("chosen", "among", "runs"),
    [
        ({2, 4, 16}, {1, 2, 4, 8, 16}, ((2, 4), (16, 16))),
        ({1, 2}, {1, 2}, ((1, 2),)),
        ({8}, {1, 8, 64}, ((8, 8),)),
        (set(), {1, 2}, ()),
    ],
)
def test_spans(chosen: set[int], among: set[int], runs: tuple[tuple[int, int], ...]) -> None:
    assert spans(chosen, among) == runs


@given(st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)))
def test_spans_hold_the_chosen_and_no_other(chosen: set[int], others: set[int]) -> None:
    among = chosen | others
    assert {n for low, high in spans(chosen, among) for n in among if low <= n <= high} == chosen


def test_cases_of_two_machines_are_two_settings_and_rows_of_none_stand_with_the_first(record: Make) -> None:
    rows = [
        record(strategy="a", n=1, machine="kind-one", median_s=1.0),
        record(strategy="b", n=1, machine="kind-two", median_s=2.0),
        record(strategy="c", n=1, machine="", status="crashed"),
    ]
    groups = by_setting(rows)
    assert [[r.strategy for r in group] for group in groups.values()] == [["a", "c"], ["b"]]
    assert varying(groups) == ("machine",)
    assert [setting.words(["machine", "dtype"]) for setting in groups] == [
        "machine kind-one, float64",
        "machine kind-two, float64",
    ]
    assert SIN.words(["dtype", "machine"]) == "float64"
