"""Rows of fused kernels by processes that may die: which row tells of it, and that the rest goes on."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict

import pytest

from bench.checks import fused_apart
from bench.checks.fused import SMALL, FusedCell, FusedRow
from bench.checks.fused_apart import CONTEXT_LOST, rows_apart

ASKED = [(cell, spec) for cell in SMALL[:2] for spec in ("vmap", "fused", "identity")]
NAMES = [(cell.name, spec) for cell, spec in ASKED]


class Fake:
    """A process that prints so many rows of what it was asked for, then ends."""

    def __init__(self, asked: Sequence[tuple[FusedCell, str]], rows: int, code: int) -> None:
        told = [json.dumps(asdict(FusedRow(cell.name, spec, 1e-3))) for cell, spec in asked[:rows]]
        self.stdout, self.code, self.killed = io.StringIO("\n".join(told) + "\n" * bool(told)), code, False

    def kill(self) -> None:
        self.killed = True

    def wait(self) -> int:
        return self.code


@pytest.mark.parametrize(
    ("ends", "reasons"),
    [
        ([(6, 0)], [""] * 6),
        # A row that lost the device has come: a fresh process has the next.
        ([(2, CONTEXT_LOST), (4, 0)], [""] * 6),
        # It died at the third.
        ([(2, -11), (3, 0)], ["", "", "its process ended, by signal 11", "", "", ""]),
        ([(0, 3), (5, 0)], ["its process ended, by exit code 3", "", "", "", "", ""]),
    ],
)
def test_behind_a_process_that_has_ended_a_fresh_one_goes_on(ends, reasons: list[str]) -> None:
    started: list[Fake] = []
    handed = []

    def start(asked, device: str, limit_s: float) -> Fake:
        handed.append((len(asked), device))
        started.append(Fake(asked, *ends[len(started)]))
        return started[-1]

    found = list(rows_apart(ASKED, "cuda", 60.0, start))
    assert [(row.cell, row.spec) for row in found] == NAMES
    assert [row.reason for row in found] == reasons
    assert len(started) == len(ends)
    assert handed[0] == (6, "cuda")
    assert all(one.killed for one in started)


def test_what_the_time_does_not_suffice_for_starts_nothing() -> None:
    found = list(rows_apart(ASKED, "cuda", 0.0, lambda *_: pytest.fail("it was started")))
    assert [row.reason for row in found] == ["not reached in 0 s"] * 6


@pytest.mark.long
def test_a_process_measures_what_it_is_given() -> None:
    """By strategies that need no kernels; the next cell begins behind one that raises."""
    asked = [(SMALL[0], "vmap"), (SMALL[0], "no_such"), (SMALL[1], "vmap")]
    found = list(rows_apart(asked, "cpu", 120.0))
    assert [(row.cell, row.spec) for row in found] == [(cell.name, spec) for cell, spec in asked]
    assert [row.reason[:10] for row in found] == ["", "UsageError", ""]
    assert all(row.error < 1e-5 and row.call_s > 0 for row in found if not row.reason)


def test_a_process_that_has_lost_the_device_ends_behind_that_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Ended(BaseException):
        pass

    def end(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(fused_apart.os, "_exit", end)
    monkeypatch.setattr(fused_apart, "is_lost", lambda device: True)
    asked = [(asdict(SMALL[0]), "vmap"), (asdict(SMALL[0]), "no_such"), (asdict(SMALL[0]), "vmap")]
    monkeypatch.setattr(fused_apart.sys, "stdin", io.StringIO(json.dumps(asked)))
    with pytest.raises(Ended) as ended:
        fused_apart.main("cpu", "60")
    assert ended.value.args == (CONTEXT_LOST,)
    assert [json.loads(line)["spec"] for line in capsys.readouterr().out.splitlines()] == ["vmap", "no_such"]
