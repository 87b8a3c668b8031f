"""What a child may say of a cell: its own cases, and rows whose values are of the kinds that their columns have."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any, cast

from jacstrat.core.case import FLOOR, Case, F
from jacstrat.core.status import CAUSES, STATUSES, Cause
from jacstrat.harness.plan.cases import Cell
from jacstrat.record import TYPES, Record

# Empty where nothing was measured.
_OPTIONAL = frozenset(column.name for column in fields(Record) if column.default is None)


def case_of(cell: Cell, key: Any) -> Case:
    """The case of the cell that has the key: of a strategy, of F or of FLOOR.

    Raises:
        ValueError: It is no case of the cell.
    """
    for name in (*cell.strategies, F, FLOOR):
        if (case := cell.case(name)).key == key:
            return case
    raise ValueError("no case of the cell")


def record_of(case: Case, row: Any) -> Record:
    """The row of a case.

    Raises:
        ValueError: It is another case's, or its status is none.
        TypeError: A column is missing or not known, or its value is of another kind.
    """
    record = Record(**row)
    for name, value in row.items():
        if not (value is None and name in _OPTIONAL):
            check(value, TYPES[name])
    if record.case != case.key or any(getattr(record, name) != value for name, value in asdict(case).items()):
        raise ValueError("a row of another case")
    if record.status not in STATUSES:
        raise ValueError("no status")
    checked_cause(record.cause)
    return record


def checked_cause(value: Any) -> Cause:
    """The value, where it is a cause.

    Raises:
        ValueError: It is none.
    """
    if value not in CAUSES:
        raise ValueError("no cause")
    return cast(Cause, value)


def check(value: Any, kind: type) -> Any:
    """The value, where it is of the kind; a whole number is a float, too, a truth value is no number.

    Raises:
        TypeError: It is of another kind.
    """
    fits = isinstance(value, int | float if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{type(value).__name__} where {kind.__name__} is due")
    return value
