"""Where the time of a cell goes, on a clock that is told the time."""

from __future__ import annotations

import pytest

from jacstrat.harness.cell.measuring import measure
from jacstrat.harness.cell.phases import PHASES, Phases
from tests.harness.conftest import QUICK


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_what_runs_within_a_phase_is_its_own_alone() -> None:
    clock = Clock()
    phases = Phases(clock)
    clock.now_s += 8  # of no phase
    with phases.within("set up"):
        clock.now_s += 1
        with phases.within("reference"):
            clock.now_s += 4
        clock.now_s += 2
    with phases.within("reference"):
        clock.now_s += 16
    assert phases.taken() == {"set up": 3, "reference": 20}
    assert phases.taken() == {}


def test_what_raises_ends_its_phase() -> None:
    clock = Clock()
    phases = Phases(clock)

    def fails() -> None:
        clock.now_s += 1
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"), phases.within("count"):
        fails()
    clock.now_s += 2
    assert phases.taken() == {"count": 1}


def test_the_samples_of_a_cell_tell_where_its_time_went(cell) -> None:
    lines = {o.case.split("/")[2]: o.samples["phases_s"] for o in measure(cell("sin", "identity", "vmap"), QUICK)}
    assert list(lines) == ["f", "identity", "vmap"]
    assert list(lines["f"]) == ["set up", "reference", "prepare", "judge", "count", "sample"]
    assert list(lines["identity"]) == list(lines["vmap"]) == ["energy", "waits", "profile"]
    assert set(lines["f"]) | set(lines["vmap"]) == set(PHASES)
    assert all(seconds > 0 for phases in lines.values() for seconds in phases.values())
