"""Directories of runs of commits, made in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jacstrat.core.environment import ENVIRONMENT
from jacstrat.history.lines import HistoryPoint
from jacstrat.history.store import Store
from jacstrat.record import Record
from jacstrat.records import RecordWriter
from tests.rows import BARE


def row(strategy: str = "ones", **values) -> Record:
    """A record of sin at n = 4; what is not given is fine."""
    values = {"status": "ok", "median_s": 1e-4, "cost_ratio": 50.0, "aten_ops": 13, "rel_error": 1e-16} | values
    case = f"sin/divergence/{strategy}/n=4/batch=1/float64/cpu/evaluate/threads=1/seed=0"
    return replace(BARE, case=case, strategy=strategy, **values)


@pytest.fixture
def directory(tmp_path) -> Callable[..., Path]:
    """Makes the directory of a run of commit number `i`, committed on the (i + 1)-th of January."""

    def make(i: int, *records: Record, name: str = "", **start) -> Path:
        path = tmp_path / (name or f"run{i}")
        path.mkdir(parents=True)
        told = {
            "machine": "0a1b2c3d",
            "torch": {"version": "2.13.0"},
            "start": {"utc": f"2026-01-{i + 1:02d}T12:00:00+00:00"},
            "checkout": {"commit": commit(i), "dirty": False},
        } | start
        (path / ENVIRONMENT).write_text(json.dumps([{"start": told}]))
        with RecordWriter(path) as writer:
            for record in records or (row(),):
                writer.write(record)
        return path

    return make


def commit(i: int) -> str:
    """A hash that starts with the number."""
    return f"{i:02d}".ljust(40, "a")


def points(values: list[float]) -> list[HistoryPoint]:
    return [HistoryPoint(commit(i), f"2026-01-{i + 1:02d}", value) for i, value in enumerate(values)]


@pytest.fixture
def store(directory, tmp_path):
    with Store(tmp_path / "h.sqlite") as store:
        for i in range(8):
            store.add(directory(i, row(cost_ratio=50.0), row("vmap", cost_ratio=[90.0, 120.0][i >= 4])))
        yield store
