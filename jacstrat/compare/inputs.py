"""What can be compared: the directory of a run, a records.csv, or a JSON file of pytest-benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jacstrat.compare.places import place_of
from jacstrat.core.case import KEY
from jacstrat.core.environment import UNKNOWN, Snapshot, read_sessions
from jacstrat.core.errors import UsageError
from jacstrat.core.plain import parse_json
from jacstrat.record import COLUMNS, Record
from jacstrat.records import PARQUET, RECORDS, read_records, records_file, to_frame
from jacstrat.samples import checked, read_samples

if TYPE_CHECKING:
    import pandas as pd

PLACE_KEY = "jacstrat"
"""Under which the machine_info of a pytest-benchmark file has the environment."""


@dataclass(frozen=True)
class RecordSet:
    """One of two sets of records.

    Fields:
        label: As the user named it.
        frame: The records, one row a case.
        samples: Raw samples by case as in samples.jsonl; those of f under the key of its cell. May be empty.
        environment: Where they were measured.
        notes: What there is to say of them, a line each.
    """

    label: str
    frame: pd.DataFrame
    samples: Mapping[str, Mapping[str, Any]]
    environment: Snapshot = UNKNOWN
    notes: tuple[str, ...] = ()

    @cached_property
    def by_case(self) -> pd.DataFrame:
        """The records by case; of a case that has several rows the last."""
        return self.frame.drop_duplicates("case", keep="last").set_index("case")


def read_side(path: Path) -> RecordSet:
    """What a path has to compare.

    Raises:
        UsageError: It is none of the three; or a file is cut off, of another schema, or holds what it cannot
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist; `jacstrat run --out {path}` writes results")
    if path.is_dir() and not records_file(path).is_file():
        problem = "is empty" if not any(path.iterdir()) else f"has no {RECORDS}"
        raise UsageError(f"{path} {problem}: no run wrote it; `jacstrat run --out {path}` does")
    if path.suffix == ".json":
        return _benchmark(path)
    directory = path if path.is_dir() else path.parent
    file = records_file(path)
    if file.suffix != ".parquet":
        _whole(file)
    frame = read_records(file)
    # A file of records by another name stands alone: what lies beside it is another run's.
    beside = file.name in (RECORDS, PARQUET)
    environment, note = place_of(read_sessions(directory) if beside else ())
    samples = read_samples(directory) if beside else {}
    return RecordSet(str(path), frame, samples, environment, tuple(f"{path} {note}" for note in [note] if note))


def _whole(file: Path) -> None:
    """Refuse a file of records that ends within a row: what is missing of it nobody knows."""
    with file.open("rb") as content:
        if content.seek(0, 2):
            content.seek(-1, 2)
            if content.read() != b"\n":
                raise UsageError(
                    f"{file} ends within a row: it was cut off, or its run was; "
                    f"`jacstrat run --resume --out {file.parent}` finishes it"
                )


def _json(file: Path) -> Any:
    try:
        return parse_json(file.read_bytes())
    except ValueError as error:
        raise UsageError(f"{file} is no JSON, or is cut off: {error}") from None


def _benchmark(file: Path) -> RecordSet:
    """The cases of a JSON file that `pytest bench --benchmark-json` wrote: their extra_info has the columns."""
    content = _json(file)
    benchmarks = content.get("benchmarks") if isinstance(content, dict) else None
    if not isinstance(benchmarks, list):
        raise UsageError(f"{file} is no file of pytest-benchmark; `pytest bench --benchmark-json={file}` writes one")
    records, samples = [], {}
    for benchmark in benchmarks:
        info, stats = (_object(benchmark, name) for name in ("extra_info", "stats"))
        if not {"case", "status", *KEY} <= info.keys():
            continue
        records.append(_record(info, stats, file))
        if stats.get("data"):
            try:
                samples[str(info["case"])] = {"seconds": checked({"case": "", "seconds": stats["data"]})["seconds"]}
            except ValueError as error:
                raise UsageError(f"{file} has samples of {info['case']} that are none: {error}") from None
    if benchmarks and not records:
        raise UsageError(
            f"{file} has {len(benchmarks)} benchmarks, none of them a case of jacstrat; `pytest bench` has"
        )
    machine = content.get("machine_info")
    environment = Snapshot.of(machine.get(PLACE_KEY) if isinstance(machine, dict) else None)
    environment = replace(environment, utc=str(content.get("datetime") or ""))
    return RecordSet(str(file), to_frame(records, str(file)), samples, environment)


def _object(benchmark: Any, name: str) -> Mapping[str, Any]:
    """A part of a benchmark; empty where it is none."""
    value = benchmark.get(name) if isinstance(benchmark, dict) else None
    return value if isinstance(value, dict) else {}


def _record(info: Mapping[str, Any], stats: Mapping[str, Any], file: Path) -> Record:
    columns = {name: value for name, value in info.items() if name in COLUMNS}
    times = {"median_s": "median", "q1_s": "q1", "q3_s": "q3", "min_s": "min", "samples": "rounds"}
    for column, name in times.items():
        value = stats.get(name)
        if value != value:
            raise UsageError(f"{file} holds a value that its column cannot: {column} of {info['case']} is NaN")
        columns.setdefault(column, value)
    return Record(**columns)
