"""What a child costs and what is outside measuring: the accounts, and that the real thing runs."""

from __future__ import annotations

import gc
import json
import math
import shutil
import time
from dataclasses import replace

import pytest

from bench.checks import children, outside, probe
from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.dispatch.isolation import measure_isolated
from jacstrat.harness.plan.cases import Cell
from jacstrat.record import Record

CELL = Cell("sin", "divergence", 2, 1, "float64", "cpu", "evaluate", 1, 0, ("identity", "vmap"))


def test_the_medians_are_of_differences_in_turn() -> None:
    extra, bare = children.judge([0.05, 0.09, 0.3], [0.01, 0.02, 0.01], [0.02, 0.07, 0.08])
    assert (extra.value, extra.met) == (pytest.approx(0.07), False)
    assert (bare.value, bare.met) == (0.07, False)
    assert extra.note == "90 ms (50 to 300) in a child, 10 ms (10 to 20) in this process"


def test_a_cell_that_ends_otherwise_is_not_timed() -> None:
    case = CELL.cases[0]
    outcome = Outcome(case.key, Record.of(case, "error", "why"), None)
    assert children.timed(lambda: [outcome], "error") >= 0
    with pytest.raises(RuntimeError, match=r"sin/divergence/identity/.* should be ok: .*reason='why'"):
        children.timed(lambda: [outcome], "ok")


def test_both_kinds_of_children_end_as_they_should() -> None:
    extra, bare = children.children(1)
    # A process takes longer than a system call; what it takes beyond that decides no test.
    assert bare.value > 1e-4
    assert math.isfinite(extra.value)


def test_what_this_process_holds_is_not_collected_and_is_given_back() -> None:
    assert gc.get_freeze_count() == 0
    with children.nothing_to_collect():
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


def test_the_sweep_has_two_hundred_small_cases() -> None:
    cells = outside.small_cases(probe.__file__, (2, 4, 8, 16), 0.25).cells()
    assert sum(len(cell.strategies) for cell in cells) == 200
    assert max(cell.n * cell.batch for cell in cells) == 256


def test_outside_is_what_none_of_the_parts_accounts_for() -> None:
    figure = outside.judge(10.0, 4, {"prepare_case": 1.0, "warm_up": 0.5}, 5.0)
    assert (figure.value, figure.met) == (pytest.approx(0.35), False)
    assert (
        figure.note
        == "of 10.0 s with 4 cells, 5.0 s in blocks, 0.5 s warming up, 1.0 s preparing, checking and counting"
    )
    assert outside.judge(10.0, 4, {"prepare_case": 1.0, "warm_up": 0.5}, 5.6).met


def test_the_probe_notes_each_call_also_of_what_raises(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(probe, "__file__", str(tmp_path / "probe.py"))

    def prepare_case(seconds: float) -> str:
        time.sleep(seconds)
        return "done"

    def fails() -> None:
        raise ValueError("mine")

    assert probe.timed(prepare_case)(0.01) == "done"
    probe.timed(prepare_case)(seconds=0.01)
    with pytest.raises(ValueError, match="mine"):
        probe.timed(fails)()
    totals = outside.spans(tmp_path / probe.SPANS)
    assert set(totals) == {"prepare_case", "fails"}
    assert totals["prepare_case"] >= 0.02


def test_a_child_that_loads_the_probe_tells_what_it_did(tmp_path) -> None:
    cell = replace(CELL, problem=f"{shutil.copy(probe.__file__, tmp_path)}:linear")
    outcomes = list(measure_isolated(cell, children.ONCE, children.LIMITS))
    assert [o.record.status for o in outcomes if o.record] == ["ok", "ok"]
    names = [json.loads(line)["name"] for line in (tmp_path / probe.SPANS).read_text().splitlines()]
    assert sorted(names) == ["prepare_case", "prepare_case", "warm_up", "warm_up", "warm_up"]
