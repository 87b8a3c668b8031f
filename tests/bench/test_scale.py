"""The checks of bench/scale.py: their sweeps, and what needs no cluster, on a small scale."""

from __future__ import annotations

import pytest

from bench.checks.scale import CHECKS, merging, planning, sweep_of


@pytest.mark.parametrize(("cases", "a_cell", "sizes"), [(24, 1, 4), (80, 10, 4), (200, 10, 10)])
def test_a_sweep_has_as_many_cases_as_it_is_asked_for(cases: int, a_cell: int, sizes: int) -> None:
    cells = sweep_of(cases, a_cell, sizes).cells()
    assert sum(len(cell.strategies) for cell in cells) == cases
    assert {len(cell.strategies) for cell in cells} == {a_cell}
    assert len({(cell.batch) for cell in cells}) * sizes == len(cells)


@pytest.mark.long
def test_merging_finds_what_it_has_put_there() -> None:
    _, missing, overlapping = merging(quick=True)
    assert missing.met
    assert overlapping.value == 200
    assert "2000 cases of 5 directories" in missing.what


def test_planning_is_the_same_on_every_machine() -> None:
    (figure,) = planning(quick=True)
    assert figure.value == pytest.approx(0.8400, abs=1e-3)
    assert {"throughput", "kills", "model"} < set(CHECKS)
