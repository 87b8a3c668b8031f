"""A cell in the calling process whose device is lost: every case has a row, and nothing is tried on it any more."""

from __future__ import annotations

import pytest

from jacstrat.harness.cell import cell_samples, failures, measuring
from jacstrat.harness.dispatch import here
from jacstrat.harness.dispatch.here import measure_here
from jacstrat.measure.context import ContextLostError
from tests.harness.conftest import QUICK, mine


def rows(cell) -> dict:
    return {o.record.strategy: o.record for o in measure_here(cell, QUICK) if o.record}


@pytest.fixture(autouse=True)
def _none_lost_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "_LOST", {})


def lose_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (failures, cell_samples):
        monkeypatch.setattr(module, "is_lost", lambda device: True)


def test_while_the_device_answers_an_error_is_an_error(cell) -> None:
    found = rows(cell(mine("raises_in_transform"), "identity", "vmap", "ones"))
    assert [found[name].status for name in ("identity", "vmap", "ones")] == ["ok", "unsupported", "ok"]


def test_who_lost_the_device_has_crashed_and_the_others_are_not_tried(cell, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_the_device(monkeypatch)
    one = cell(mine("raises_in_transform"), "identity", "vmap", "ones")
    with pytest.raises(ContextLostError, match="ValueError: mine"):
        list(measuring.measure(one, QUICK))
    found = rows(one)
    assert found["vmap"].status == "crashed"
    assert found["vmap"].reason.startswith("it ended the device's context: vmap cannot differentiate this function")
    reason = "vmap ended the device's context, and only another process can go on; run it apart"
    for name in ("identity", "ones"):
        assert (found[name].status, found[name].reason) == ("skipped", reason)


def test_later_cells_are_not_tried_and_who_lost_it_is_told_in_a_line(
    cell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lose_the_device(monkeypatch)
    one = cell(mine("raises_in_transform"), "identity", "vmap", "ones")
    rows(one)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"jacstrat: {one.case('vmap').key} ended the context of cpu: this process measures nothing more there; "
        "another one can, as each cell has by `jacstrat run`"
    )
    later = rows(cell("sin", "identity", "vmap"))
    reason = f"{one.case('vmap').key} ended the device's context in this process, and only another one can go on; "
    assert {(r.status, r.reason) for r in later.values()} == {("skipped", f"{reason}run it apart")}
    assert capsys.readouterr().err == ""
    elsewhere = rows(cell("sin", "vmap", device="cuda:7"))
    assert "cuda:7 is not available" in elsewhere["vmap"].reason


def test_f_that_loses_the_device_is_the_row_of_all(cell, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_the_device(monkeypatch)
    found = rows(cell(mine("half_only"), "identity", "vmap"))
    assert {r.status for r in found.values()} == {"crashed"}
    assert all(r.reason.startswith("f itself: it ended the device's context: f holds tensors") for r in found.values())


def test_a_device_that_is_lost_in_the_middle_of_sampling_is_blamed_on_whose_block_it_was(
    cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind that every block fails, whoever it is of: who failed last is not the cause."""
    lose_the_device(monkeypatch)
    found = rows(cell(mine("raises_later"), "identity", "ones"))
    statuses = sorted(r.status for r in found.values())
    assert statuses in (["crashed", "skipped"], ["crashed", "crashed"])  # a strategy, or f itself
    assert any("it ended the device's context: RuntimeError: call 201" in r.reason for r in found.values())
