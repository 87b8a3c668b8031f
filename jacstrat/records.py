"""The row and its file: one record a case, in records.csv, and every raw sample in samples.jsonl.

The one reader and writer of the table: its columns, with their types, domains, defaults and meanings, are the fields of
Record. Knows neither torch nor strategies, so that reports and verdicts can be made anywhere.
"""

from __future__ import annotations

import csv
import json
import os
import types
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from jacstrat.core.case import KEY, Case
from jacstrat.core.errors import UsageError
from jacstrat.core.status import CAUSES, STATUSES, Cause, Status
from jacstrat.core.whole import write_whole
from jacstrat.samples import LEAST_S, MOST_S, SAMPLES
from jacstrat.samples import by_round as by_round
from jacstrat.samples import read_samples as read_samples
from jacstrat.table import FIRST_ROW, LARGEST, Column, Domain, read_text, typed

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 6
"""Of the columns below. Columns have been added, and none was given another meaning: 2 has those of accuracy over the
batch and over draws, 3 the floor and the machine, 4 the error of the reference, 5 what the device did, what bounds it,
and the state of its caches, 6 the cause of a skipped case. A column that a file lacks is empty, but for `cause`, which
earlier versions told in words alone."""
TOLD: Mapping[str, Cause] = {
    "predicted peak of ": "memory",
    "skipped at n = ": "after_memory",
    "timeout at n = ": "after_timeout",
    "oom at n = ": "after_oom",
}
RECORDS = "records.csv"
PARQUET = "records.parquet"
SWEEP = "sweep.toml"
PLOTS = "plots"
TRACES = "traces"
PAGE = "report.html"

ANY = Domain()
SIZE, COUNT = Domain(1, LARGEST), Domain(0, LARGEST)
CAUSE = Domain(choices=tuple(CAUSES))
TIME, TIME_OR_NONE = Domain(LEAST_S, MOST_S), Domain(0, MOST_S)
# Beyond what two times can be apart.
RATIO = Domain(1e-21, 1e21)
ERROR, SHARE, ENERGY = Domain(0), Domain(0, 1), Domain(0, 1e18)


def _column(doc: str, domain: Domain = ANY, **options: Any) -> Any:
    return field(metadata={"doc": doc, "domain": domain}, **options)


def _empty(doc: str, domain: Domain = ANY) -> Any:
    return _column(doc, domain, default=None)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One row of records.csv: a case, how it ended, and what was measured.

    A value that was not measured is None, an empty cell in the file, never 0.
    """

    case: str = _column("stable key of the case, made of the columns that follow")
    problem: str = _column("name of the problem")
    operator: str = _column("the spec of the operator: divergence, laplacian:coordinates=0+1, ...")
    strategy: str = _column("spec of the strategy")
    n: int = _column("inputs, the dimension of a point", SIZE)
    batch: int = _column("points, B", SIZE)
    dtype: str = _column("float64, float32, tf32 (float32 with its products in TF32), float16 or bfloat16")
    device: str = _column("cpu, cuda, ...")
    workload: str = _column("evaluate (the operator), train (and back to the parameters) or replay (a graph of it)")
    threads: int = _column("threads torch computes with", SIZE)
    seed: int = _column("seed of weights, points and random probes", COUNT)
    status: Status = _column("how the case ended, see the statuses", Domain(choices=tuple(STATUSES)))
    reason: str = _column("why, where the status is not ok", default="")
    cause: Cause = _column("the reason as a word, where a case is skipped for it, see the causes", CAUSE, default="")
    median_s: float | None = _empty("median time of one call, seconds", TIME)
    q1_s: float | None = _empty("first quartile of the time of one call, seconds", TIME)
    q3_s: float | None = _empty("third quartile of the time of one call, seconds", TIME)
    min_s: float | None = _empty("shortest time of one call, seconds", TIME)
    ci_low_s: float | None = _empty("lower end of the 95 % confidence interval of the median, seconds", TIME)
    ci_high_s: float | None = _empty("upper end of the 95 % confidence interval of the median, seconds", TIME)
    samples: int | None = _empty("samples taken; each is the mean of a block of calls", COUNT)
    stop_reason: str = _column("why sampling stopped: precise, time limit, ...", default="")
    cache: str = _column("what a timed call finds in the caches: warm or cold", default="")
    cold_s: float | None = _empty(
        "median time of one call behind a flush of the last cache, seconds; where asked for", TIME
    )
    warm_s: float | None = _empty("median time of one call behind one of the same work, seconds; where asked for", TIME)
    kernels: int | None = _empty("kernels, copies and fills that the device runs in one call", COUNT)
    kernel_s: float | None = _empty("time in which the device runs any of them in one call, seconds", TIME_OR_NONE)
    gap_s: float | None = _empty("what is left of median_s: the device waits for its launches, seconds", TIME_OR_NONE)
    prepare_s: float | None = _empty("time of prepare and the first call, once, seconds", TIME_OR_NONE)
    f_median_s: float | None = _empty("median time of one evaluation of f on the same x, seconds", TIME)
    cost_ratio: float | None = _empty(
        "median over rounds of the operator's time over f's time in the same round", RATIO
    )
    cost_ratio_low: float | None = _empty("lower end of the 95 % confidence interval of cost_ratio", RATIO)
    cost_ratio_high: float | None = _empty("upper end of the 95 % confidence interval of cost_ratio", RATIO)
    over_fastest: float | None = _empty(
        "median over rounds of the time over that of the cell's fastest right strategy", RATIO
    )
    over_fastest_low: float | None = _empty("lower end of the 95 % confidence interval of over_fastest", RATIO)
    over_fastest_high: float | None = _empty("upper end of the 95 % confidence interval of over_fastest", RATIO)
    peak_bytes: int | None = _empty("tensor storage alive at the peak of one call, above what was resident", COUNT)
    vjp_products: int | None = _empty("vector-Jacobian products through f in one call, per point", COUNT)
    jvp_products: int | None = _empty("Jacobian-vector products through f in one call, per point", COUNT)
    f_evaluations: int | None = _empty("evaluations of f in one call, per point", COUNT)
    aten_ops: int | None = _empty("aten operations dispatched in one call", COUNT)
    flops: int | None = _empty("floating-point operations of matrix products and convolutions in one call", COUNT)
    moved_bytes: int | None = _empty("bytes that the operations of one call read and write, views apart", COUNT)
    compute_s: float | None = _empty("flops over the device's measured rate of matrix products, seconds", TIME_OR_NONE)
    memory_s: float | None = _empty("moved_bytes over the device's measured rate of a copy, seconds", TIME_OR_NONE)
    best_flops: int | None = _empty("flops of the best-known algorithm for a network, at all points", COUNT)
    floor_median_s: float | None = _empty("median time of the bare matrix products of that algorithm, seconds", TIME)
    over_floor: float | None = _empty("median over rounds of the time over that of these matrix products", RATIO)
    over_floor_low: float | None = _empty("lower end of the 95 % confidence interval of over_floor", RATIO)
    over_floor_high: float | None = _empty("upper end of the 95 % confidence interval of over_floor", RATIO)
    best_bytes: int | None = _empty("bytes of points, weights and results, which that algorithm has to move", COUNT)
    light_s: float | None = _empty(
        "best_flops or best_bytes over the device's measured rates, the longer, seconds", TIME_OR_NONE
    )
    over_light: float | None = _empty("median_s over light_s", RATIO)
    abs_error: float | None = _empty("largest |result - reference| over the batch", ERROR)
    rel_error: float | None = _empty("largest |result - reference| / sum |J_ii| over the batch", ERROR)
    ulp_error: float | None = _empty("largest |result - reference| over the batch, in units in the last place", ERROR)
    abs_error_median: float | None = _empty("median over the batch of |result - reference|", ERROR)
    rel_error_median: float | None = _empty("median over the batch of |result - reference| / sum |J_ii|", ERROR)
    ulp_error_median: float | None = _empty(
        "median over the batch of |result - reference|, in units in the last place", ERROR
    )
    reference_error: float | None = _empty(
        "how far off the reference may be, as rel_error; rel_error is judged by no less, up to 0.01", ERROR
    )
    cancellation: float | None = _empty(
        "largest sum |J_ii| / |sum J_ii| over the batch: what the sum itself loses", ERROR
    )
    exact: bool | None = _empty("the error is 0: every result is the reference rounded to the dtype")
    std_error: float | None = _empty(
        "standard error that a stochastic strategy claims, median over draws and batch", ERROR
    )
    coverage: float | None = _empty("share of repeated draws within the claimed standard error of the reference", SHARE)
    draws: int | None = _empty(
        "repeated draws that coverage and the errors of a stochastic strategy are taken over", COUNT
    )
    reference: str = _column("what the result was compared with", default="")
    energy_j: float | None = _empty("energy of one call from the device's own counter, joules", ENERGY)
    machine: str = _column("machine that measured it: hash of its hardware, then of its name", default="")
    schema: int = _column("version of this table", Domain(1, SCHEMA), default=SCHEMA)

    @classmethod
    def of(cls, case: Case, status: Status, reason: str = "", **measured: Any) -> Record:
        """The row of a case."""
        return cls(case=case.key, **asdict(case), status=status, reason=reason, **measured)


COLUMNS: Mapping[str, str] = {column.name: column.metadata["doc"] for column in fields(Record)}


def _columns() -> dict[str, Column]:
    """Each column with the plain type of its hint: int | None counts as int, a Literal as str."""
    found = {}
    hints = get_type_hints(Record)
    for column in fields(Record):
        hint = hints[column.name]
        options = [t for t in get_args(hint) if t is not type(None)] if isinstance(hint, types.UnionType) else [hint]
        kind = options[0] if isinstance(options[0], type) else str
        required = column.default is MISSING
        found[column.name] = Column(column.name, kind, column.metadata["domain"], required)
    return found


TABLE: Mapping[str, Column] = _columns()
TYPES: Mapping[str, type] = {name: column.kind for name, column in TABLE.items()}
REQUIRED = tuple(name for name, column in TABLE.items() if column.required and name != "case")
"""Columns without which a row says nothing; the case is made of its parts where it is not there."""


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
        added["cause"] = [_told(*row) for row in zip(frame["status"], frame["reason"], strict=True)]
    return frame.assign(**added)[[*COLUMNS, *others]]


def _told(status: Any, reason: Any) -> Cause:
    """The cause of a row of before schema 6, told by the reason's first words, which those versions went by."""
    if status != "skipped":
        return ""
    return next((cause for words, cause in TOLD.items() if str(reason).startswith(words)), "")


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
