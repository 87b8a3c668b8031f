"""The files of records: one row a case in records.csv, and every raw sample in samples.jsonl.

The one reader and writer of the table, of every schema that there has been. Knows neither torch nor strategies, so that
reports and verdicts can be made anywhere.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jacstrat.core.case import KEY, Case
from jacstrat.core.errors import UsageError
from jacstrat.core.status import Cause
from jacstrat.core.whole import write_whole
from jacstrat.record import COLUMNS, REQUIRED, SCHEMA, TABLE, Record
from jacstrat.samples import SAMPLES
from jacstrat.samples import by_round as by_round
from jacstrat.samples import read_samples as read_samples
from jacstrat.table import FIRST_ROW, read_text, typed

if TYPE_CHECKING:
    import pandas as pd

CAUSES_BY_WORDS: Mapping[str, Cause] = {
    "predicted peak of ": "memory",
    "skipped at n = ": "after_memory",
    "timeout at n = ": "after_timeout",
    "oom at n = ": "after_oom",
}
RECORDS = "records.csv"
PARQUET = "records.parquet"
SWEEP = "sweep.toml"
PLOTS_DIRECTORY = "plots"
TRACES = "traces"
PAGE = "report.html"


def _cell(value: Any) -> str:
    """A value as a cell: on one line, so that a line is a row; empty where there is no number."""
    if value is None or value != value:
        return ""
    return repr(value) if isinstance(value, float) else " ".join(str(value).splitlines())


def _readable(record: Record) -> Record:
    """The record as it can be read back: what no measurement gives is left out, and its status says so.

    A function that moves the clock in its process must not make a table that nothing reads.
    """
    strange = {
        name: value
        for name, column in TABLE.items()
        if not column.required and (value := getattr(record, name)) == value and not column.domain.holds(value)
    }
    if not strange:
        return record
    empty: dict[str, Any] = dict.fromkeys(strange)
    words = [f"{name} must be {TABLE[name].domain.words(TABLE[name].kind)}, got {strange[name]!r}" for name in strange]
    return replace(record, status="error", reason="; ".join(words), **empty)


def _row(record: Record) -> list[str]:
    return [_cell(value) for value in asdict(_readable(record)).values()]


def _rows(rows: Iterable[Iterable[str]]) -> str:
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


_HEADER = _rows([COLUMNS]).encode()


class RecordWriter:
    """Appends records and samples to a directory; each row is on disk when `write` returns.

    Use as a context manager. The header is written when the file is new or empty; one that is not in the columns of
    today, of an older schema or from another program, is brought into them first, its own columns after them.
    """

    def __init__(self, directory: Path) -> None:
        file = directory / RECORDS
        # Cells of columns that are another program's.
        self._blank: list[str] = []
        if not has_rows(file):
            file.unlink(missing_ok=True)
        elif not _standard(file):
            cells = _cells(file)
            self._blank = [""] * (cells.shape[1] - len(COLUMNS))
            _write_cells(file, cells)
        self._records = file.open("a", newline="", encoding="utf-8", errors="replace")
        self._samples = (directory / SAMPLES).open("a", encoding="utf-8", errors="replace")
        self._begin()

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._records.close()
        self._samples.close()

    def write(self, record: Record) -> None:
        """Append one row."""
        self._begin()
        self._records.write(_rows([[*_row(record), *self._blank]]))
        self._records.flush()

    def _begin(self) -> None:
        """Write the header where there is none: the file is new, or somebody has emptied it meanwhile."""
        if os.fstat(self._records.fileno()).st_size == 0:
            self._blank = []
            self._records.write(_HEADER.decode())
            self._records.flush()

    def write_samples(self, case: str, samples: Mapping[str, Any]) -> None:
        """Append the raw samples of a case as one line of JSON. Written before its row, so that a row that is there
        has them, also after a kill between the two."""
        self._samples.write(json.dumps({"case": case, **samples}) + "\n")
        self._samples.flush()


def write_records(records: Iterable[Record], file: Path) -> None:
    """Write a records.csv whole or not at all."""
    write_whole(file, _rows([COLUMNS, *map(_row, records)]))


def records_file(path: Path) -> Path:
    """The records of a directory, records.csv unless there is only records.parquet; a file is taken as it is."""
    if not path.is_dir():
        return path
    return path / (PARQUET if (path / PARQUET).is_file() and not (path / RECORDS).is_file() else RECORDS)


def read_records(path: str | Path) -> pd.DataFrame:
    """The rows of a records.csv or a records.parquet, or of the one in a directory, with a dtype per column.

    Of any schema to this one, and as other programs write them: see `jacstrat.table`. A column that the file lacks is
    empty, and columns that are not jacstrat's come last.

    Raises:
        UsageError: There is no such file, it is none of records, a later version wrote it, or a cell holds what its
            column cannot; names row and column.
    """
    file = records_file(Path(path))
    if not file.is_file():
        raise UsageError(f"{file} does not exist; `jacstrat run --out {file.parent}` writes it")
    cells = _whole_table(_read_parquet(file), file) if file.suffix == ".parquet" else _cells(file)
    return _typed(cells, str(file), 1 if file.suffix == ".parquet" else FIRST_ROW)


def _cells(file: Path) -> pd.DataFrame:
    """All cells of a records.csv as text, in the columns of today."""
    return _whole_table(read_text(file, COLUMNS), file)


def has_rows(file: Path) -> bool:
    """The file has more than the header, or a part of it, which a run that was refused or killed has left."""
    if not file.is_file():
        return False
    with file.open("rb") as content:
        return not _HEADER.startswith(content.read(len(_HEADER) + 1))


def _standard(file: Path) -> bool:
    """The file begins with the header of today."""
    with file.open("rb") as content:
        return content.read(len(_HEADER)) == _HEADER


def _write_cells(file: Path, cells: pd.DataFrame) -> None:
    write_whole(file, cells.to_csv(index=False, lineterminator="\n"))


def drop_rows(file: Path, rows: Collection[int]) -> None:
    """Take rows out of a records.csv, counted as `read_records` gives them; what is left stays as it is."""
    cells = _cells(file)
    _write_cells(file, cells.drop(cells.index[[*rows]]))


def _whole_table(frame: pd.DataFrame, file: Path) -> pd.DataFrame:
    """The columns of today in their order, empty where the file has none, then the others.

    Raises:
        UsageError: It lacks what makes a row, or a later version wrote it.
    """
    if missing := [name for name in REQUIRED if name not in frame.columns]:
        raise UsageError(f"{file} lacks the columns {', '.join(missing)}; was it written by jacstrat?")
    schemas = frame["schema"].astype("string").dropna().unique() if "schema" in frame.columns else ()
    if later := [*filter(_later, schemas)]:
        raise UsageError(
            f"{file} has schema {later[0]}, this version reads schemas 1 to {SCHEMA}; a later jacstrat wrote it"
        )
    others = [name for name in frame.columns if name not in COLUMNS]
    added: dict[str, Any] = {name: "" for name in COLUMNS if name not in frame.columns}
    if "cause" in added and "reason" in frame.columns:
        added["cause"] = [_cause_before_6(*row) for row in zip(frame["status"], frame["reason"], strict=True)]
    return frame.assign(**added)[[*COLUMNS, *others]]


def _cause_before_6(status: Any, reason: Any) -> Cause:
    """The cause of a row of before schema 6, told by the reason's first words, which those versions went by."""
    if status != "skipped":
        return ""
    return next((cause for words, cause in CAUSES_BY_WORDS.items() if str(reason).startswith(words)), "")


def _later(schema: str) -> bool:
    try:
        return float(schema) > SCHEMA
    except ValueError:
        return False


def _typed(cells: pd.DataFrame, where: str, first: int) -> pd.DataFrame:
    import pandas as pd

    columns = {
        name: typed(cells[name], TABLE[name], where, first) if name in TABLE else cells[name] for name in cells.columns
    }
    frame = pd.DataFrame(columns).reset_index(drop=True)
    if len(frame) and (unnamed := frame["case"] == "").any():
        keys = [Case(*row).key for row in frame.loc[unnamed, list(KEY)].itertuples(index=False)]
        frame.loc[unnamed, "case"] = keys
    return frame


def _read_parquet(file: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(file, engine="pyarrow").reset_index(drop=True)
    except ImportError:
        raise UsageError(f"{file} needs pyarrow to be read; pip install 'jacstrat[distributed]'") from None
    except (OSError, ValueError, TypeError, LookupError, NotImplementedError) as error:
        raise UsageError(f"{file} is not a table of records: {' '.join(str(error).split())}") from None


def write_frame(frame: pd.DataFrame, file: Path) -> None:
    """Write a table of records whole or not at all, as CSV or Parquet by its name; `read_records` reads it back.

    Raises:
        UsageError: Parquet is asked for, and pyarrow is not installed.
    """
    if file.suffix != ".parquet":
        _write_cells(file, frame)
        return
    try:
        write_whole(file, frame.to_parquet(engine="pyarrow", index=False))
    except ImportError:
        raise UsageError(f"{file} needs pyarrow to be written; pip install 'jacstrat[distributed]'") from None


def to_frame(records: Sequence[Record], where: str = "records") -> pd.DataFrame:
    """Records as `read_records` gives them once they are written: the same values, with the same dtype per column.

    Raises:
        UsageError: One holds what its column cannot; names it as a row of `where`.
    """
    import pandas as pd

    cells = {name: pd.Series([_cell(getattr(r, name)) for r in records], dtype="string") for name in COLUMNS}
    return _typed(pd.DataFrame(cells), where, 1)
