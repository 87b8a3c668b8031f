"""What is wrong with the files of a run that was killed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from jacstrat import JacstratError, read_records
from jacstrat.core.status import STATUSES
from jacstrat.records import RECORDS, read_samples

# What every row has that was measured.
MEASURED = (
    "median_s",
    "min_s",
    "samples",
    "stop_reason",
    "prepare_s",
    "cost_ratio",
    "peak_bytes",
    "rel_error",
    "exact",
)


def completed(directory: Path) -> bytes:
    """The lines of records.csv that have their end, the header among them."""
    file = directory / RECORDS
    content = file.read_bytes() if file.exists() else b""
    return content[: content.rfind(b"\n") + 1]


def rows_of(directory: Path) -> int:
    """Completed rows that are on disk."""
    return max(completed(directory).count(b"\n") - 1, 0)


def flaws(directory: Path, expected: Collection[str]) -> list[str]:
    """What is wrong with the completed rows, each in a line; empty where nothing is.

    Args:
        directory: Of a run, killed at any time.
        expected: Keys of the cases that its sweep has.
    """
    lines = completed(directory)
    if not lines:
        # Nothing was completed, not even the header: there is nothing to read.
        return []
    try:
        frame, samples = read_records(directory), read_samples(directory)
    except (JacstratError, ValueError, KeyError) as error:
        return [f"cannot be read: {type(error).__name__}: {error}"]
    rows = lines.count(b"\n") - 1
    harm = [] if len(frame) == rows else [f"{rows} completed lines, {len(frame)} rows read"]
    harm += [f"{case} is there {count} times" for case, count in frame["case"].value_counts().items() if count > 1]
    harm += [f"{case} is no case of the sweep" for case in frame["case"] if case not in expected]
    return harm + [flaw for _, row in frame.iterrows() for flaw in _row(row, samples)]


def _row(row: pd.Series, samples: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    case = row["case"]
    if row["status"] not in STATUSES:
        yield f"{case} has the status {row['status']!r}"
    if row["status"] not in ("ok", "wrong"):
        if not row["reason"]:
            yield f"{case} is {row['status']} without a reason"
        return
    if empty := [name for name in MEASURED if pd.isna(row[name]) or row[name] == ""]:
        yield f"{case} lacks {', '.join(empty)}"
    raw = len(samples[case]["seconds"]) if case in samples else 0
    if raw != row["samples"]:
        yield f"{case} has {row['samples']} samples, of which {raw} are in samples.jsonl"
