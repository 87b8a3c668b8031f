"""How a case ended, as a value and as the plain data that a child tells its parent."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

from jacstrat.core.case import Case
from jacstrat.core.status import Cause, Status
from jacstrat.harness.cell.messages import case_of, record_of
from jacstrat.harness.plan.cases import Cell
from jacstrat.record import Record


class Outcome(NamedTuple):
    """A row and its raw samples; the samples alone where the case is f itself."""

    case: str
    record: Record | None
    samples: dict[str, Any] | None

    @classmethod
    def of(cls, case: Case, status: Status, reason: str = "", cause: Cause = "") -> Outcome:
        """How a case ended of which nothing was measured."""
        return cls(case.key, Record.of(case, status, reason, cause=cause), None)

    @property
    def settles(self) -> str | None:
        """The strategy whose case this ends, if it ends one."""
        return self.record.strategy if self.record else None

    def to_data(self) -> dict[str, Any]:
        """The outcome as plain JSON."""
        return {"case": self.case, "record": asdict(self.record) if self.record else None, "samples": self.samples}

    @classmethod
    def parse(cls, cell: Cell, data: Any) -> Outcome:
        """The outcome of one of the cell's cases that is in what `to_data` gave.

        Raises:
            ValueError, KeyError, TypeError: It is none.
        """
        case, samples = case_of(cell, data["case"]), data["samples"]
        if not isinstance(samples, dict | None):
            raise TypeError("samples are a table")
        row = data["record"]
        return cls(case.key, None if row is None else record_of(case, row), samples)
