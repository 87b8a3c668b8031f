"""The row and its file: one record a case, in records.csv, and every raw sample in samples.jsonl.

Knows neither torch nor strategies, so that reports and verdicts can be made anywhere.
"""

from __future__ import annotations

import csv
import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from jacstrat.core.case import Case
from jacstrat.core.errors import UsageError
from jacstrat.core.status import Status

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 5
# Columns that came after the oldest schema that is read, by the schema that brought them; empty in older records.
ADDED: Mapping[str, int] = {
    "reference_error": 4,
    **dict.fromkeys(("cache", "cold_s", "warm_s", "kernels", "kernel_s", "gap_s", "moved_bytes"), 5),
    **dict.fromkeys(("compute_s", "memory_s", "best_bytes", "light_s", "over_light"), 5),
}
READ = range(min(ADDED.values()) - 1, SCHEMA + 1)
RECORDS = "records.csv"
PARQUET = "records.parquet"
SAMPLES = "samples.jsonl"
SWEEP = "sweep.toml"
PLOTS = "plots"
TRACES = "traces"
PAGE = "report.html"


def _column(doc: str, **options: Any) -> Any:
    return field(metadata={"doc": doc}, **options)


def _empty(doc: str) -> Any:
    return _column(doc, default=None)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One row of records.csv: a case, how it ended, and what was measured.

    A value that was not measured is None, an empty cell in the file, never 0.
    """

    case: str = _column("stable key of the case, made of the columns that follow")
    problem: str = _column("name of the problem")
    operator: str = _column("the spec of the operator: divergence, laplacian:coordinates=0+1, ...")
    strategy: str = _column("spec of the strategy")
    n: int = _column("inputs, the dimension of a point")
    batch: int = _column("points, B")
    dtype: str = _column("float64, float32, tf32 (float32 with its products in TF32), float16 or bfloat16")
    device: str = _column("cpu, cuda, ...")
    workload: str = _column("evaluate (the operator), train (and back to the parameters) or replay (a graph of it)")
    threads: int = _column("threads torch computes with")
    seed: int = _column("seed of weights, points and random probes")
    status: Status = _column("how the case ended, see the statuses")
    reason: str = _column("why, where the status is not ok", default="")
    median_s: float | None = _empty("median time of one call, seconds")
    q1_s: float | None = _empty("first quartile of the time of one call, seconds")
    q3_s: float | None = _empty("third quartile of the time of one call, seconds")
    min_s: float | None = _empty("shortest time of one call, seconds")
    ci_low_s: float | None = _empty("lower end of the 95 % confidence interval of the median, seconds")
    ci_high_s: float | None = _empty("upper end of the 95 % confidence interval of the median, seconds")
    samples: int | None = _empty("samples taken; each is the mean of a block of calls")
    stop_reason: str = _column("why sampling stopped: precise, time limit, ...", default="")
    cache: str = _column("what a timed call finds in the caches: warm or cold", default="")
    cold_s: float | None = _empty("median time of one call behind a flush of the last cache, seconds; where asked for")
    warm_s: float | None = _empty("median time of one call behind one of the same work, seconds; where asked for")
    kernels: int | None = _empty("kernels, copies and fills that the device runs in one call")
    kernel_s: float | None = _empty("time in which the device runs any of them in one call, seconds")
    gap_s: float | None = _empty("what is left of median_s: the device waits for its launches, seconds")
    prepare_s: float | None = _empty("time of prepare and the first call, once, seconds")
    f_median_s: float | None = _empty("median time of one evaluation of f on the same x, seconds")
    cost_ratio: float | None = _empty("median over rounds of the operator's time over f's time in the same round")
    cost_ratio_low: float | None = _empty("lower end of the 95 % confidence interval of cost_ratio")
    cost_ratio_high: float | None = _empty("upper end of the 95 % confidence interval of cost_ratio")
    over_fastest: float | None = _empty("median over rounds of the time over that of the cell's fastest right strategy")
    over_fastest_low: float | None = _empty("lower end of the 95 % confidence interval of over_fastest")
    over_fastest_high: float | None = _empty("upper end of the 95 % confidence interval of over_fastest")
    peak_bytes: int | None = _empty("tensor storage alive at the peak of one call, above what was resident")
    vjp_products: int | None = _empty("vector-Jacobian products through f in one call, per point")
    jvp_products: int | None = _empty("Jacobian-vector products through f in one call, per point")
    f_evaluations: int | None = _empty("evaluations of f in one call, per point")
    aten_ops: int | None = _empty("aten operations dispatched in one call")
    flops: int | None = _empty("floating-point operations of matrix products and convolutions in one call")
    moved_bytes: int | None = _empty("bytes that the operations of one call read and write, views apart")
    compute_s: float | None = _empty("flops over the device's measured rate of matrix products, seconds")
    memory_s: float | None = _empty("moved_bytes over the device's measured rate of a copy, seconds")
    best_flops: int | None = _empty("flops of the best-known algorithm for a network, at all points")
    floor_median_s: float | None = _empty("median time of the bare matrix products of that algorithm, seconds")
    over_floor: float | None = _empty("median over rounds of the time over that of these matrix products")
    over_floor_low: float | None = _empty("lower end of the 95 % confidence interval of over_floor")
    over_floor_high: float | None = _empty("upper end of the 95 % confidence interval of over_floor")
    best_bytes: int | None = _empty("bytes of points, weights and results, which that algorithm has to move")
    light_s: float | None = _empty("best_flops or best_bytes over the device's measured rates, the longer, seconds")
    over_light: float | None = _empty("median_s over light_s")
    abs_error: float | None = _empty("largest |result - reference| over the batch")
    rel_error: float | None = _empty("largest |result - reference| / sum |J_ii| over the batch")
    ulp_error: float | None = _empty("largest |result - reference| over the batch, in units in the last place")
    abs_error_median: float | None = _empty("median over the batch of |result - reference|")
    rel_error_median: float | None = _empty("median over the batch of |result - reference| / sum |J_ii|")
    ulp_error_median: float | None = _empty("median over the batch of |result - reference|, in units in the last place")
    reference_error: float | None = _empty(
        "how far off the reference may be, as rel_error; rel_error is judged by no less, up to 0.01"
    )
    cancellation: float | None = _empty("largest sum |J_ii| / |sum J_ii| over the batch: what the sum itself loses")
    exact: bool | None = _empty("the error is 0: every result is the reference rounded to the dtype")
    std_error: float | None = _empty("standard error that a stochastic strategy claims, median over draws and batch")
    coverage: float | None = _empty("share of repeated draws within the claimed standard error of the reference")
    draws: int | None = _empty("repeated draws that coverage and the errors of a stochastic strategy are taken over")
    reference: str = _column("what the result was compared with", default="")
    energy_j: float | None = _empty("energy of one call from the device's own counter, joules")
    machine: str = _column("machine that measured it: hash of its hardware, then of its name", default="")
    schema: int = _column("version of this table", default=SCHEMA)

    @classmethod
    def of(cls, case: Case, status: Status, reason: str = "", **measured: Any) -> Record:
        """The row of a case."""
        return cls(case=case.key, **asdict(case), status=status, reason=reason, **measured)


COLUMNS: Mapping[str, str] = {column.name: column.metadata["doc"] for column in fields(Record)}

_PANDAS = {int: "Int64", float: "Float64", bool: "boolean", str: "string"}


def _column_types() -> dict[str, type]:
    """The plain type of each column: int | None counts as int, a Literal as str."""
    plain: dict[str, type] = {}
    for name, hint in get_type_hints(Record).items():
        options = [t for t in get_args(hint) if t is not type(None)] if isinstance(hint, types.UnionType) else [hint]
        plain[name] = options[0] if isinstance(options[0], type) else str
    return plain


TYPES: Mapping[str, type] = _column_types()


def _cell(value: Any) -> str:
    """A value as a cell: on one line, so that a line is a row; empty where there is no number."""
    if value is None or value != value:
        return ""
    return repr(value) if isinstance(value, float) else " ".join(str(value).splitlines())


def _bring_up(file: Path) -> None:
    """Give a records.csv the columns that are younger than it, empty, so that rows of today can be added."""
    if not file.is_file():
        return
    with file.open(newline="", encoding="utf-8") as lines:
        header, *rows = [*csv.reader(lines)] or [[*COLUMNS]]
    missing = [name for name in COLUMNS if name not in header]
    if not missing or not {*missing} <= {*ADDED}:
        return
    for name in missing:
        place = [*COLUMNS].index(name)
        header.insert(place, name)
        for row in rows:
            row.insert(place, "")
    temporary = file.with_suffix(".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows([header, *rows])
    temporary.replace(file)


class RecordWriter:
    """Appends records and samples to a directory; each row is on disk when `write` returns.

    Use as a context manager. The header is written when the file is new or empty; one of an older schema gets the
    columns that it lacks first, empty.
    """

    def __init__(self, directory: Path) -> None:
        _bring_up(directory / RECORDS)
        self._records = (directory / RECORDS).open("a", newline="", encoding="utf-8", errors="replace")
        self._samples = (directory / SAMPLES).open("a", encoding="utf-8", errors="replace")
        self._rows = csv.writer(self._records, lineterminator="\n")
        if self._records.tell() == 0:
            self._rows.writerow(COLUMNS)
            self._records.flush()

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._records.close()
        self._samples.close()

    def write(self, record: Record) -> None:
        """Append one row."""
        self._rows.writerow([_cell(value) for value in asdict(record).values()])
        self._records.flush()

    def write_samples(self, case: str, samples: Mapping[str, Any]) -> None:
        """Append the raw samples of a case as one line of JSON. Written before its row, so that a row that is there
        has them, also after a kill between the two."""
        self._samples.write(json.dumps({"case": case, **samples}) + "\n")
        self._samples.flush()


def records_file(path: Path) -> Path:
    """The records of a directory, records.csv unless there is only records.parquet; a file is taken as it is."""
    if not path.is_dir():
        return path
    return path / (PARQUET if (path / PARQUET).is_file() and not (path / RECORDS).is_file() else RECORDS)


def read_records(path: str | Path) -> pd.DataFrame:
    """The rows of a records.csv or a records.parquet, or of the one in a directory, with a dtype per column.

    Columns that are younger than the file's schema are there, empty.

    Raises:
        UsageError: There is no such file, it is empty, it lacks columns, or its schema is another one.
    """
    import pandas as pd

    file = records_file(Path(path))
    if not file.is_file():
        raise UsageError(f"{file} does not exist; `jacstrat run --out {file.parent}` writes it")
    frame = _read_parquet(file) if file.suffix == ".parquet" else _read_csv(file)
    schemas = {*frame["schema"].dropna().astype(str)} - {""} if "schema" in frame.columns else set()
    if foreign := sorted(schemas - {*map(str, READ)}):
        older = " or ".join(map(str, reversed(READ[:-1])))
        raise UsageError(f"{file} has schema {foreign[0]}, this version reads schema {SCHEMA}, or the older {older}")
    newest = max(map(int, schemas), default=READ[0])
    # In the order of the columns, so that each finds those before it in their places.
    for name in (name for name in COLUMNS if newest < ADDED.get(name, 0) and name not in frame.columns):
        place = min([*COLUMNS].index(name), frame.shape[1])
        frame.insert(place, name, None if file.suffix == ".parquet" and TYPES[name] is not str else "")

    if missing := [name for name in COLUMNS if name not in frame.columns]:
        raise UsageError(f"{file} lacks the columns {', '.join(missing)}; was it written by jacstrat?")
    try:
        if file.suffix == ".parquet":
            return frame.astype({name: _PANDAS[kind] for name, kind in TYPES.items()})
        return pd.DataFrame({name: _parse(frame[name], TYPES.get(name, str)) for name in frame.columns})
    except (ValueError, TypeError) as error:
        raise UsageError(f"{file} holds a value that its column cannot: {error}") from None


def _read_csv(file: Path) -> pd.DataFrame:
    """All cells as text."""
    import pandas as pd

    try:
        text = file.read_text(encoding="utf-8")
        # A last line without its end is being written, or was when its run was killed.
        return pd.read_csv(StringIO(text[: text.rfind("\n") + 1]), dtype="string", keep_default_na=False)
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not a table of records: {str(error).strip()}") from None


def _read_parquet(file: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(file, engine="pyarrow")
    except ImportError:
        raise UsageError(f"{file} needs pyarrow to be read; pip install 'jacstrat[distributed]'") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} is not a table of records: {' '.join(str(error).split())}") from None


def write_frame(frame: pd.DataFrame, file: Path) -> None:
    """Write a table of records whole or not at all, as CSV or Parquet by its name; `read_records` reads it back.

    Raises:
        UsageError: Parquet is asked for, and pyarrow is not installed.
    """
    temporary = file.with_name(f"{file.name}.tmp")
    if file.suffix == ".parquet":
        try:
            frame.to_parquet(temporary, engine="pyarrow", index=False)
        except ImportError:
            raise UsageError(f"{file} needs pyarrow to be written; pip install 'jacstrat[distributed]'") from None
    else:
        frame.to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8", errors="replace")
    temporary.replace(file)


def to_frame(records: Sequence[Record]) -> pd.DataFrame:
    """Records as `read_records` gives them once they are written: the same values, with the same dtype per column."""
    import pandas as pd

    cells = {name: pd.Series([_cell(getattr(r, name)) for r in records], dtype="string") for name in COLUMNS}
    return pd.DataFrame({name: _parse(column, TYPES[name]) for name, column in cells.items()})


def _parse(column: pd.Series, kind: type) -> pd.Series:
    import pandas as pd

    if kind is str:
        return column.astype("string")
    present = column.where(column != "", pd.NA)
    if kind is bool:
        strange = set(present.dropna()) - {"True", "False"}
        if strange:
            raise ValueError(f"{strange.pop()!r} is neither True nor False in {column.name}")
        return present.map({"True": True, "False": False}).astype("boolean")
    # As a missing value a NaN would pass for what was not measured.
    if (odd := present[(present.str.lower() == "nan").fillna(False)]).size:
        raise ValueError(f"{column.name}: {odd.iloc[0]} is not a number; what was not measured is empty")
    try:
        numbers = pd.to_numeric(present)
    except ValueError as error:
        raise ValueError(f"{column.name}: {error}") from None
    # What is no int64 comes as another kind of number: fractions, infinities, 2^63.
    if kind is int and numbers.notna().any() and str(numbers.dtype).lower() != "int64":
        raise ValueError(f"{column.name}: {numbers.dropna().max()} is not a whole number")
    return numbers.astype(_PANDAS[kind])  # type: ignore[call-overload]


def read_samples(path: str | Path) -> dict[str, dict[str, Any]]:
    """Raw samples by case: the last line of each case in samples.jsonl; an incomplete last line is left out."""
    file = Path(path)
    if file.is_dir():
        file = file / SAMPLES
    samples = {}
    if file.is_file():
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):
                    row = json.loads(line)
                    samples[row.pop("case")] = row
    return samples


def by_round(samples: Mapping[str, Any]) -> dict[tuple[str, int], float]:
    """Seconds a call by session and round, as `jacstrat.statistics.ratio` takes them.

    Rounds of two sessions (a child that died, a resumed run) were not taken side by side, whatever their numbers.
    """
    session = samples["session"]
    return {(session, r): s for r, s in zip(samples["rounds"], samples["seconds"], strict=True)}
