"""A setting: what cases share that can be compared, and the records of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from jacstrat.core.case import KEY
from jacstrat.record import COLUMNS, Record

if TYPE_CHECKING:
    import pandas as pd

# Words of an operator's name that are names of people.
PEOPLE = {"laplacian", "jacobian", "hessian"}

Spans = tuple[tuple[int, int], ...]

Source: TypeAlias = Union["pd.DataFrame", Sequence[Record]]
"""Records: a frame as `read_records` gives it, or, so that a frame is turned into records once, `to_records` of it."""


@dataclass(frozen=True)
class Setting:
    """What two cases share when they can be compared: the key of a case but for strategy and n, and the machine.

    Seconds of two machines are not to be set beside each other, nor joined to one curve.
    """

    problem: str
    operator: str
    batch: int
    dtype: str
    device: str
    workload: str
    threads: int
    seed: int
    machine: str = ""

    @property
    def size(self) -> str:
        """The letter of what its records are over: n, or B where its batch is 0, all of them (`batch_sweeps`)."""
        return size_of(self.batch)

    @property
    def name(self) -> str:
        """The quantity, in words: "divergence of sin"."""
        return quantity(self.operator, self.problem)

    def words(self, columns: Iterable[str], brief: bool = False) -> str:
        """Some of the columns, in words: "float64, cpu, B = 1"; in brief without the workload "evaluate"."""
        if brief and self.workload == "evaluate":
            columns = [column for column in columns if column != "workload"]
        missing = {column for column in ("machine", "batch") if not getattr(self, column)}
        columns = [column for column in columns if column not in missing]
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        special = {"batch": f"B = {self.batch}", "threads": threads, "seed": f"seed {self.seed}"}
        special["machine"] = f"machine {self.machine}"
        return ", ".join(special.get(column) or str(getattr(self, column)) for column in columns)

    def title(self, *, also: Iterable[str] = ()) -> str:
        """A title such as "Divergence of sin, float64, cpu, B = 1".

        Args:
            also: Columns that the title names besides; the workload is named by itself when it is not "evaluate".
        """
        extra = [column for column in ("workload", "threads", "seed", "machine") if column in also]
        if self.workload != "evaluate" and "workload" not in extra:
            extra.insert(0, "workload")
        name = self.name[:1].upper() + self.name[1:]
        return f"{name}, {self.words(['dtype', 'device', 'batch', *extra])}"


SETTING = tuple(column.name for column in fields(Setting))
assert {*SETTING, "strategy", "n"} == {*KEY, "machine"}
REQUIRED = {column.name for column in fields(Record) if column.default is MISSING}
_SETTING, _KEY = attrgetter(*SETTING), attrgetter(*KEY)


def size_of(batch: int) -> str:
    """The letter of what records of that batch are over: n; B where the batch is 0."""
    return "n" if batch else "B"


def quantity(operator: str, problem: str) -> str:
    """An operator of a problem, in words: "Laplacian of cos", "Laplacian:coordinates=0+1 of heat"."""
    name, colon, fields = operator.partition(":")
    words = (word.capitalize() if word in PEOPLE else word for word in name.split("_"))
    return f"{' '.join(words)}{colon}{fields} of {problem}"


def to_records(source: Source) -> list[Record]:
    """The rows as Records, the last one of each case, missing values as None; records themselves as they are.

    A row that lacks a part of its key or its status, the torn last line of a run that was killed, is left out. NaN
    counts as missing: there is no number to show.
    """
    if isinstance(source, Sequence):
        return list(source)
    # By column, since a test of every cell by itself takes most of the time of a large report.
    columns = [_plain(source[name]) for name in COLUMNS]
    required = [i for i, name in enumerate(COLUMNS) if name in REQUIRED]
    latest: dict[tuple[object, ...], Record] = {}
    for row in zip(*columns, strict=True):
        if any(row[i] is None for i in required):
            continue
        record = Record(**{name: value for name, value in zip(COLUMNS, row, strict=True) if value is not None})
        latest[_KEY(record)] = record
    return list(latest.values())


def _plain(column: pd.Series) -> list[Any]:
    """Python values, None for missing; equal texts are one object."""
    there = column.notna()
    values = column.astype(object).where(there, None).tolist()
    if any(isinstance(value, str) for value in values):
        shared: dict[str, str] = {}
        return [value if value is None else shared.setdefault(value, value) for value in values]
    return [
        None if value is None or value != value else getattr(value, "item", lambda v=value: v)() for value in values
    ]


def by_setting(records: Iterable[Record]) -> dict[Setting, list[Record]]:
    """The records of each setting, settings in the order in which they first appear, records by n.

    A row that no machine has measured, as of a case that killed every worker, stands with the first machine's.
    """
    # By tuples, of which there are few: a Setting a record takes most of the time of a large report.
    rows: dict[tuple[Any, ...], list[Record]] = {}
    places: dict[tuple[Any, ...], Setting] = {}
    measured: dict[Setting, Setting] = {}
    ordered = [(_SETTING(record), record) for record in records]
    for values, _ in ordered:
        if values not in places:
            setting = places[values] = Setting(*values)
            if setting.machine:
                measured.setdefault(replace(setting, machine=""), setting)
    for values, record in ordered:
        rows.setdefault(_SETTING(measured.get(places[values], places[values])), []).append(record)
    return {places[values]: sorted(group, key=lambda record: record.n) for values, group in rows.items()}


def varying(settings: Iterable[Setting]) -> tuple[str, ...]:
    """The columns, other than problem and operator, in which the settings differ."""
    distinct = list(settings)
    return tuple(name for name in SETTING[2:] if len({getattr(setting, name) for setting in distinct}) > 1)


def spans(chosen: Iterable[int], among: Iterable[int]) -> Spans:
    """Runs of the chosen n's that are neighbours among all n's: {2, 4, 16} of {1, 2, 4, 8, 16} is (2, 4), (16, 16)."""
    wanted = set(chosen)
    runs: list[tuple[int, int]] = []
    open_run = False
    for n in sorted({*among, *wanted}):
        if n in wanted and open_run:
            runs[-1] = (runs[-1][0], n)
        elif n in wanted:
            runs.append((n, n))
        open_run = n in wanted
    return tuple(runs)
