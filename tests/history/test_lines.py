"""Lines over commits: levels, steps named by commit, and what is left out, said."""

from __future__ import annotations

import math
import random

import pytest

from jacstrat import JacstratError
from jacstrat.history.lines import line_of, lines_of, measure_of
from jacstrat.history.store import Store
from tests.history.conftest import commit, points, row


def noisy(levels: list[float], spread: float = 0.01, seed: int = 0) -> list[float]:
    rng = random.Random(seed)
    return [level * math.exp(rng.gauss(0, spread)) for level in levels]


def test_a_step_is_named_by_the_commit_that_made_it() -> None:
    line = line_of("a", "cost_ratio", points(noisy([50.0] * 9 + [58.0] * 9)))
    (step,) = line.steps
    assert (step.after, step.commit) == (commit(8), commit(9))
    assert step.factor == pytest.approx(1.16, rel=0.02)
    assert line.drift == line.over_best == pytest.approx(1.16, rel=0.02)


def test_slow_drift_is_seen_though_no_step_is_large() -> None:
    line = line_of("a", "cost_ratio", points(noisy([50 * 1.01**i for i in range(30)])))
    assert line.steps
    assert all(step.factor < 1.12 for step in line.steps)
    assert line.drift > 1.2


def test_what_rose_and_fell_again_is_over_the_best_by_nothing() -> None:
    line = line_of("a", "aten_ops", points([13, 13, 15, 15, 12, 12]))
    assert [step.factor for step in line.steps] == [15 / 13, 12 / 15]
    assert (line.drift, line.over_best) == (12 / 13, 1.0)


def test_a_level_within_two_per_cent_is_the_same_for_times_and_not_for_counts() -> None:
    values = [100.0] * 8 + [101.0] * 8
    assert line_of("a", "median_s", points(values)).steps == ()
    assert len(line_of("a", "flops", points(values)).steps) == 1


def test_zeros_have_levels_too() -> None:
    line = line_of("a", "rel_error", points([0.0] * 6 + [1e-16] * 6))
    (step,) = line.steps
    assert step.factor == line.drift == math.inf
    assert line_of("a", "rel_error", points([0.0] * 3)).drift == 1.0
    down = line_of("a", "aten_ops", points([4.0] * 3 + [0.0] * 3))
    assert down.drift == 0.0


def test_lines_of_a_store(store) -> None:
    lines, notes = lines_of(store.frame(), "cost_ratio")
    assert notes == []
    assert [(line.case.split("/")[2], len(line.points), len(line.steps)) for line in lines] == [
        ("ones", 8, 0),
        ("vmap", 8, 1),
    ]
    assert lines[1].steps[0].commit == commit(4)
    (only,), _ = lines_of(store.frame(), "aten_ops", "*/ones/*")
    assert {point.value for point in only.points} == {13}


def test_what_is_left_out_is_said(store, directory) -> None:
    store.add(directory(20, checkout={"commit": commit(20), "dirty": True}))
    store.add(directory(21, machine="ffffffff"))
    store.add(directory(22, row("jvp", cost_ratio=None, status="timeout"), machine="ffffffff"))
    lines, notes = lines_of(store.frame(), "cost_ratio")
    assert [len(line.points) for line in lines] == [1]
    assert notes == [
        "1 runs with uncommitted changes are left out",
        "8 runs of other machines than ffffffff are left out: times differ",
        "1 cases have no cost_ratio",
    ]
    counted, notes = lines_of(store.frame(), "aten_ops")
    assert max(len(line.points) for line in counted) == 9
    assert notes == ["1 runs with uncommitted changes are left out", "1 cases have no aten_ops"]


def test_machines_of_one_kind_share_a_line_whatever_their_names(store, directory) -> None:
    store.add(directory(8, row(machine="0a1b2c3d-00112233")))
    lines, notes = lines_of(store.frame(), "cost_ratio", "*/ones/*")
    assert (len(lines[0].points), notes) == (9, [])
    store.add(directory(9, row(machine="ffffffff-00112233")))
    lines, notes = lines_of(store.frame(), "cost_ratio", "*/ones/*")
    assert len(lines[0].points) == 1
    assert notes == ["9 runs of other machines than ffffffff are left out: times differ"]


def test_several_runs_of_a_commit_are_one_point(store, directory) -> None:
    store.add(directory(0, row(cost_ratio=54.0), name="again"))
    lines, _ = lines_of(store.frame(), "cost_ratio", "*/ones/*")
    assert lines[0].points[0].value == 52.0
    assert len(lines[0].points) == 8


def test_wrong_use_is_said(store) -> None:
    with pytest.raises(JacstratError, match="unknown measure 'cost'; known: abs_error, aten_ops, cost_ratio, "):
        lines_of(store.frame(), "cost")
    with pytest.raises(JacstratError, match="no case fits 'cos"):
        lines_of(store.frame(), "aten_ops", "cos/*")


def test_what_is_shown_unless_asked(store, directory, tmp_path) -> None:
    assert measure_of(store.frame()) == "cost_ratio"
    with Store(tmp_path / "counted.sqlite") as counted:
        counted.add(directory(30, row(cost_ratio=None, median_s=None)))
        assert measure_of(counted.frame()) == "aten_ops"
