"""Elements beyond the budget are widened, never narrowed."""

from __future__ import annotations

from jacstrat import detect_structure
from tests.structure.truth import assert_superset, points


def test_pairs_beyond_the_budget_are_widened(monkeypatch) -> None:
    def pairs(x):
        return (x.unsqueeze(-1) - x.unsqueeze(-2)).tanh().tril().sum(-1)

    x = points(40)
    assert assert_superset(pairs, x).pattern.nnz == 40 * 41 / 2
    monkeypatch.setattr("jacstrat.structure.propagate.MAX_ELEMENTS", 1000)
    assert detect_structure(pairs, x).kind == "dense"
