"""Rows of records: one with nothing measured, written to a directory, read, and spoilt."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from jacstrat.core.errors import UsageError
from jacstrat.record import Record
from jacstrat.records import RECORDS, RecordWriter, read_records

BARE = Record(
    case="sin/divergence/vmap/4",
    problem="sin",
    operator="divergence",
    strategy="vmap",
    n=4,
    batch=1,
    dtype="float64",
    device="cpu",
    workload="evaluate",
    threads=1,
    seed=0,
    status="timeout",
)


def write(directory: Path, records: Iterable[Record]) -> None:
    with RecordWriter(directory) as writer:
        for record in records:
            writer.write(record)


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {name: None if pd.isna(value) else value for name, value in row.items()} for row in frame.to_dict("records")
    ]


def spoilt(directory: Path, column: str, text: str) -> Path:
    """A file whose one row holds another text in a column."""
    write(directory, [BARE])
    file = directory / RECORDS
    header, row = file.read_text(encoding="utf-8").splitlines()
    cells = row.split(",")
    cells[header.split(",").index(column)] = text
    file.write_text(f"{header}\n{','.join(cells)}\n", encoding="utf-8")
    return file


def message_of(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_records(path)
    message = str(caught.value)
    assert "\n" not in message
    return message
