"""A setting: what cases share that can be compared, and the records of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from jacstrat.records import COLUMNS, KEY, Record

if TYPE_CHECKING:
    import pandas as pd

OPERATORS: Mapping[str, str] = {"laplacian": "Laplacian", "jacobian_diagonal": "Jacobian diagonal"}

Spans = tuple[tuple[int, int], ...]


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
    def name(self) -> str:
        """The quantity, in words: "divergence of sin"."""
        return quantity(self.operator, self.problem)

    def words(self, columns: Iterable[str], brief: bool = False) -> str:
        """Some of the columns, in words: "float64, cpu, B = 1"; in brief without the workload "evaluate"."""
        if brief and self.workload == "evaluate":
            columns = [column for column in columns if column != "workload"]
        columns = [column for column in columns if column != "machine" or self.machine]
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


def quantity(operator: str, problem: str) -> str:
    """An operator of a problem, in words: "Laplacian of cos"."""
    return f"{OPERATORS.get(operator, operator.replace('_', ' '))} of {problem}"


def to_records(frame: pd.DataFrame) -> list[Record]:
    """The rows as Records, the last one of each case, missing values as None.

    A row that lacks a part of its key or its status, the torn last line of a run that was killed, is left out.
    """
    latest: dict[tuple[object, ...], Record] = {}
    for row in frame[list(COLUMNS)].to_dict("records"):
        values = {str(name): _plain(value) for name, value in row.items()}
        present = {name: value for name, value in values.items() if value is not None}
        if present.keys() >= REQUIRED:
            record = Record(**present)
            latest[tuple(getattr(record, name) for name in KEY)] = record
    return list(latest.values())


def _plain(value: Any) -> Any:
    """A Python value, None for missing. NaN counts as missing: there is no number to show."""
    import pandas as pd

    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value


def by_setting(records: Iterable[Record]) -> dict[Setting, list[Record]]:
    """The records of each setting, settings in the order in which they first appear, records by n.

    A row that no machine has measured, as of a case that killed every worker, stands with the first machine's.
    """
    named = [(Setting(**{name: getattr(record, name) for name in SETTING}), record) for record in records]
    measured: dict[Setting, Setting] = {}
    for setting, _ in named:
        if setting.machine:
            measured.setdefault(replace(setting, machine=""), setting)
    groups: dict[Setting, list[Record]] = {}
    for setting, record in named:
        groups.setdefault(measured.get(setting, setting), []).append(record)
    return {setting: sorted(group, key=lambda record: record.n) for setting, group in groups.items()}


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
