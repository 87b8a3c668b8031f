"""Where the time of a sweep goes: the accounts, and that the real thing runs."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from bench.checks import phases as module
from bench.checks.phases import PLANNED_S, judge, phases, planned, spent
from jacstrat.harness.plan.sweep import load_sweep


def test_the_phases_of_all_lines_add_up() -> None:
    lines = [
        json.dumps({"case": "f", "phases_s": {"prepare": 1.0, "sample": 2.0}}),
        json.dumps({"case": "floor"}),
        json.dumps({"case": "a", "phases_s": {"energy": 0.5, "prepare": 0.25}}),
    ]
    assert spent(lines) == Counter({"sample": 2.0, "prepare": 1.25, "energy": 0.5})


@pytest.mark.parametrize(("wall_s", "met"), [(8.9, True), (9.1, False)])
def test_sampling_is_no_part_of_what_a_case_takes_above_it(wall_s: float, met: bool) -> None:
    figure = judge(wall_s, 10, Counter({"sample": 2.0, "prepare": 4.0}), "cuda")
    assert figure.value == pytest.approx((wall_s - 2) / 10)
    assert figure.met is met
    assert figure.note.startswith("10 cases on cuda: sample 2 s, prepare 4 s, outside of cells ")


def test_the_sweep_runs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_sweep", lambda name: load_sweep("quick").override(problems=("sin",)))
    (figure,) = phases(quick=True)
    assert figure.value > 0
    assert "prepare" in figure.note


@pytest.mark.long
def test_the_sweeps_of_a_card_have_a_target_each() -> None:
    assert set(PLANNED_S) == {"gpu", "gpu-quick"}
    (figure,) = planned(quick=True)
    assert figure.what == "the sweep gpu-quick on an H100, as planned"
    assert 0 < figure.value < figure.target == 180
