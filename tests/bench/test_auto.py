"""The bench of auto: what meets its targets, what is named as missed, and that it runs."""

from __future__ import annotations

import math

import pytest

from bench.checks import auto
from bench.checks.auto import Found, judge
from jacstrat import parse_strategy


def found(cell: str = "c", over_fastest: float = 1.0, first_s: float = 0.1, fastest_s: float = 1e-3) -> Found:
    return Found(cell, "vmap", "jvp", over_fastest, 0.9, 1.2, first_s, fastest_s)


def test_95_per_cent_within_10_per_cent_and_5_calls_with_200_ms_meet_the_targets() -> None:
    cells = [found(over_fastest=1.10, first_s=0.2, fastest_s=1e-6) for _ in range(19)] + [found("slow", 1.2)]
    share, first = judge(cells)
    assert (share.value, share.met) == (pytest.approx(0.95), True)
    assert share.note.startswith("1 of 20 cells missed; slow: vmap takes 1.20 [0.90, 1.20] times as long as jvp")
    assert first.met
    assert first.note == "0 of 20 cells missed"


def test_one_dear_first_call_misses_its_target_and_is_named() -> None:
    share, first = judge([found(), found("dear", first_s=1.0, fastest_s=0.1), found("long", first_s=0.6)])
    assert share.met
    assert not first.met
    assert first.value == pytest.approx(0.595)
    assert "1 of 3 cells missed; dear" not in first.note
    assert first.note.startswith("2 of 3 cells missed; dear")


def test_it_measures_a_cell(monkeypatch) -> None:
    monkeypatch.setenv("JACSTRAT_CACHE", "off")
    (one,) = auto.measured(["sin/divergence/*/n=10/"], sample_s=0.005)
    # Which is chosen, and whether it is the fastest, is a matter of time.
    assert parse_strategy(one.chosen).refuse("divergence") is None
    assert parse_strategy(one.chosen).exact_when != "never"
    assert one.chosen != "auto"
    assert one.fastest_s > 0
    assert one.first_s > 0
    assert not math.isnan(one.over_fastest)


def test_no_such_cell_is_a_wrong_use(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        auto.main(["no such cell"])
    assert ended.value.code == 2
    assert "no cell of the default sweep has no such cell in its key" in capsys.readouterr().err
