"""The figures of the witness from what children say; no figure decides a test."""

from __future__ import annotations

import json

import pytest

from bench.checks import witness
from bench.checks.sides import direct_side

MINE = [{"a": {"prepare_s": 0.02, "direct_s": 1.1e-3}}, {"a": {"prepare_s": 0.04, "direct_s": 1.0e-3}}]
OTHERS = [{"a": {"prepare_s": 0.01, "direct_s": 1.0e-3}}, {"a": {"prepare_s": 0.01, "direct_s": 1.0e-3}}]


def test_ratios_are_taken_turn_by_turn() -> None:
    (figure,) = witness.direct_of(MINE, OTHERS)
    assert figure.value == pytest.approx(1.05)
    assert figure.note == "1.05 ms; turns 1.00 to 1.10"
    assert figure.met


def test_without_a_base_there_is_nothing_to_compare() -> None:
    assert witness.direct_of(MINE, []) == []
    (figure,) = witness.first_of(MINE, [])
    assert (figure.value, figure.note) == (pytest.approx(0.03), "")


def test_the_base_stands_beside_a_preparation() -> None:
    (figure,) = witness.first_of(MINE, OTHERS)
    assert figure.note == "base 10 ms"


def test_a_child_times_every_case(monkeypatch, capsys) -> None:
    monkeypatch.setattr(direct_side, "ROUNDS", 1)
    monkeypatch.setattr(direct_side, "ROUND_S", 1e-3)
    name, direct, *rest = next(direct_side.cases())
    monkeypatch.setattr(direct_side, "cases", lambda: iter([(name, direct, *rest[:-1], ("vmap",))]))
    direct_side.main()
    found = json.loads(capsys.readouterr().out)
    assert list(found) == [f"{name}, vmap", f"{name}, vmap, gradients tracked"]
    assert all(seconds > 0 for case in found.values() for seconds in case.values())
