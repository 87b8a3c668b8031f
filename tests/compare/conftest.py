"""Two sides to compare, without a run: plain records, samples with a seeded spread."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jacstrat.compare.inputs import RecordSet
from jacstrat.compare.verdict import CaseVerdict, Comparison
from jacstrat.core.case import Case
from jacstrat.core.environment import ENVIRONMENT, Snapshot
from jacstrat.harness.plan.cases import Cell
from jacstrat.record import Record
from jacstrat.records import RecordWriter, to_frame

HERE = Snapshot(machine="abc", processor="CPU", logical_cores=2, torch="2.9.0+cpu", python="CPython 3.11")
STRATEGIES = ("identity", "ones", "vmap", "jvp", "jacrev")


def cell_of(n: int = 4, problem: str = "sin", **changes: Any) -> Cell:
    given = {"operator": "divergence", "batch": 1, "dtype": "float64", "device": "cpu", "workload": "evaluate"}
    return Cell(problem, n=n, threads=1, seed=0, strategies=STRATEGIES, **{**given, **changes})


def record_of(case: Case, **changes: Any) -> Record:
    """A case that was measured and is right, in which nothing is remarkable."""
    usual = {
        "status": "ok",
        "vjp_products": 4,
        "jvp_products": 0,
        "f_evaluations": 1,
        "aten_ops": 52,
        "flops": 640,
        "peak_bytes": 1840,
        "rel_error": 1e-15,
    }
    return Record.of(case, **{**usual, **changes})


def records_of(ns: Iterable[int] = (4, 16), **changes: Any) -> list[Record]:
    """Ten cases, on two cells."""
    return [record_of(case, **changes) for n in ns for case in cell_of(n).cases]


def side_of(records: list[Record], label: str = "NEW", environment: Snapshot = HERE, samples: Any = None) -> RecordSet:
    return RecordSet(label, _frame(tuple(records)), samples or {}, environment)


@lru_cache
def _frame(records: tuple[Record, ...]) -> pd.DataFrame:
    return to_frame(records)


def changed(records: list[Record], which: int = 3, **changes: Any) -> list[Record]:
    """The records, one of them with other values."""
    return [replace(record, **changes) if place == which else record for place, record in enumerate(records)]


def timed(
    records: list[Record], seed: int, factors: Mapping[int, float] | None = None, count: int = 40, spread: float = 0.02
) -> tuple[list[Record], dict[str, Any]]:
    """The records with times, and their samples: f takes 1 us, a strategy ten times that, by round.

    Args:
        factors: By the place of a record, what its time is multiplied by.
    """
    rng = np.random.default_rng(seed)
    rounds, found, samples = list(range(count)), [], {}
    for place, record in enumerate(records):
        key = record.case.replace(f"/{record.strategy}/", "/f/")
        if key not in samples:
            f_s = 1e-6 * np.exp(rng.normal(0, spread, count))
            samples[key] = {"session": key, "rounds": rounds, "seconds": list(f_s)}
        f_s = np.array(samples[key]["seconds"])
        seconds = f_s * 10 * (factors or {}).get(place, 1.0) * np.exp(rng.normal(0, spread, count))
        samples[record.case] = {"session": key, "rounds": rounds, "seconds": list(seconds)}
        times = {"median_s": float(np.median(seconds)), "f_median_s": float(np.median(f_s))}
        found.append(replace(record, **times, cost_ratio=times["median_s"] / times["f_median_s"], samples=count))
    return found, samples


def timed_side(
    seed: int, factors: Mapping[int, float] | None = None, environment: Snapshot = HERE, **options: Any
) -> RecordSet:
    """A side with times: ten cases, or others by `ns`."""
    records = records_of(options.pop("ns", (4, 16)))
    found, samples = timed(records, seed, factors, **options)
    return side_of(found, f"run {seed}", environment, samples)


def only(comparison: Comparison) -> CaseVerdict:
    """The one case in which something moved, its time apart."""
    moved = [case for case in comparison.cases if any(finding is not case.time for finding in case.findings)]
    assert len(moved) == 1, [case.reason for case in moved]
    return moved[0]


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes a directory as a run leaves it."""

    def write(name: str, records: list[Record], environment: Any = None, samples: Any = None) -> Path:
        directory = tmp_path / name
        directory.mkdir(parents=True)
        with RecordWriter(directory) as writer:
            for case, found in (samples or {}).items():
                writer.write_samples(case, found)
            for record in records:
                writer.write(record)
        if environment is not None:
            (directory / ENVIRONMENT).write_text(json.dumps(environment), encoding="utf-8")
        return directory

    return write


def environment_of(**changes: Any) -> list[dict[str, Any]]:
    """What environment.json holds, as far as a comparison reads it."""
    start = {
        "machine": "abc",
        "hardware": {"cpu_model": "CPU", "logical_cores": 2},
        "accelerator": None,
        "cards": [],
        "python": "CPython 3.11",
        "torch": {"version": "2.9.0+cpu"},
        "checkout": {"commit": "0123456789abcdef", "dirty": True},
        "start": {"utc": "2026-01-02T03:04:05+00:00"},
    }
    return [{"start": {**start, **changes}}]
