"""Processes are pinned to the cores with the least to do, or to none."""

from __future__ import annotations

import os

import psutil
import pytest

from jacstrat.revisions.cores import idlest


@pytest.fixture
def _six_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which this process may use four, one of them behind those whose load is known."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 3, 4, 7}, raising=False)
    monkeypatch.setattr(psutil, "cpu_percent", lambda seconds, percpu: [0.0, 90.0, 0.0, 20.0, 5.0, 0.0])


@pytest.mark.usefixtures("_six_cores")
@pytest.mark.parametrize(
    ("count", "cores"), [(0, ()), (1, (7,)), (2, (7, 4)), (3, (7, 4, 3)), (4, (7, 4, 3, 1)), (5, ())]
)
def test_the_idlest_that_may_be_used_are_taken_first(count: int, cores: tuple[int, ...]) -> None:
    assert idlest(count) == cores


def test_where_nothing_can_be_pinned_nothing_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert idlest(1) == ()
