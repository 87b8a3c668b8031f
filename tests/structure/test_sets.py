"""Sets beyond their budget are widened, never narrowed."""

from __future__ import annotations

from jacstrat import detect_structure
from jacstrat.structure import structure as detecting
from tests.structure.truth import assert_superset, points


def test_sets_beyond_the_budget_are_widened(monkeypatch) -> None:
    def halves(x):
        return x.unflatten(-1, (2, 20)).cumsum(-1).flatten(-2)

    x = points(40)
    assert detect_structure(halves, x).blocks == (20, 20)
    monkeypatch.setattr("jacstrat.structure.sets.MAX_ENTRIES", 30)
    assert assert_superset(halves, x).kind == "dense"
    monkeypatch.undo()
    monkeypatch.setattr(detecting, "MAX_ENTRIES", 799)
    assert detect_structure(halves, x).kind == "dense"
