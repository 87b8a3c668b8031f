"""What a profiler sees of a cell, in a process that times nothing: on the CPU by its traces."""

from __future__ import annotations

from pathlib import Path

import pytest

from jacstrat.harness.cell import failures, profiling
from jacstrat.harness.cell.measuring import measure
from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.cell.profiling import Profile, is_apart, profiles
from jacstrat.harness.cell.traces import trace_file
from jacstrat.measure.activity import Activity
from jacstrat.measure.context import ContextLostError
from tests.harness.conftest import QUICK, mine


def test_each_case_has_a_profile_and_its_trace(cell, tmp_path: Path) -> None:
    one = cell("tanh_scalar", "vmap", "ones", "taylor", operator="laplacian")
    attended: list[str] = []
    found = list(profiles(one, attended.append, traces=tmp_path))
    assert [(profile.settles, profile.activity) for profile in found] == [
        ("vmap", None),
        ("ones", None),
        ("taylor", None),
    ]
    assert all(profile.seconds > 0 for profile in found)
    assert sorted(tmp_path.iterdir()) == sorted(trace_file(tmp_path, case.key) for case in one.cases)
    assert list(dict.fromkeys(attended)) == ["f", "vmap", "ones", "taylor"]


def test_what_the_profiler_sees_is_of_a_call_as_it_is_timed(cell, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def observed(work, device, name: str, call_s: float, trace) -> Activity:
        calls.append((device.type, name, trace))
        assert 0 < call_s < 1
        return Activity(7, 1e-6)

    monkeypatch.setattr(profiling, "observed", observed)
    monkeypatch.setattr("jacstrat.harness.cell.setup.find_reference", lambda *_: pytest.fail("nothing is judged"))
    one = cell("sin", "vmap")
    (profile,) = profiles(one)
    assert profile.activity == Activity(7, 1e-6)
    assert calls == [("cpu", one.case("vmap").key, None)]


def test_what_fails_has_none_and_the_others_go_on(cell, tmp_path: Path) -> None:
    found = list(profiles(cell(mine("raises_in_transform"), "identity", "vmap", "hessian", "ones"), traces=tmp_path))
    assert [profile.settles for profile in found] == ["identity", "vmap", "hessian", "ones"]
    assert len([*tmp_path.iterdir()]) == 2
    found = list(profiles(cell("seed_coupled", "identity", "vmap", n=5)))
    assert [(profile.settles, profile.activity) for profile in found] == [("identity", None), ("vmap", None)]


def test_a_lost_device_ends_the_process(cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "is_lost", lambda device: True)
    with pytest.raises(ContextLostError):
        list(profiles(cell(mine("raises_in_transform"), "vmap")))


def test_a_profile_is_told_as_data_and_that_of_another_cell_is_refused(cell) -> None:
    one = cell("sin", "vmap")
    for profile in (Profile(one.cases[0], Activity(3, 2e-5), 0.5), Profile(one.cases[0], None)):
        assert Profile.parse(one, profile.to_data()) == profile
    data = Profile(one.cases[0], Activity(3, 2e-5)).to_data()
    for wrong in ({"case": "sin"}, {"seconds": "1"}, {"activity": {"kernels": 1.5, "kernel_s": 1.0}}, {"activity": {}}):
        with pytest.raises((ValueError, TypeError, KeyError)):
            Profile.parse(one, data | wrong)
    died = Profile.died(one.cases[0], "timeout", "no end after 1 s")
    assert (died.settles, died.activity) == ("vmap", None)


def timed(cell) -> Outcome:
    (outcome,) = (o for o in measure(cell("sin", "vmap"), QUICK, profiled=False) if o.record)
    return outcome


def test_a_profile_goes_into_the_row_that_was_timed_elsewhere(cell) -> None:
    outcome = timed(cell)
    case = cell("sin", "vmap").cases[0]
    merged = Profile(case, Activity(3, outcome.record.median_s / 4), 0.5).into(outcome)
    assert (merged.record.kernels, merged.record.kernel_s) == (3, outcome.record.median_s / 4)
    assert merged.record.gap_s == outcome.record.median_s - merged.record.kernel_s
    assert merged.record.median_s == outcome.record.median_s
    assert merged.samples["phases_s"] == {**outcome.samples["phases_s"], "profile": 0.5}
    assert merged.samples["seconds"] == outcome.samples["seconds"]
    assert Profile(case, None).into(outcome).record == outcome.record


def test_a_process_that_is_not_to_profile_starts_no_profiler(
    cell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(profiling, "observed", lambda *_: pytest.fail("a profiler was started"))
    found = [o.record for o in measure(cell("sin", "vmap"), QUICK, traces=tmp_path, profiled=False) if o.record]
    assert [record.status for record in found] == ["ok"]
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("device", "traced", "apart"),
    [("cpu", False, False), ("cpu", True, False), ("cuda:1", False, True), ("mps", False, False), ("mps", True, True)],
)
def test_only_what_a_profiler_sees_is_looked_at_apart(cell, tmp_path: Path, device, traced: bool, apart: bool) -> None:
    assert is_apart(cell("sin", "vmap", device=device), tmp_path if traced else None) is apart
