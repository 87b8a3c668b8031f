"""A case is one row to be; a cell is the cases that differ in nothing but the strategy, sampled side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from jacstrat.core.status import Status
from jacstrat.records import Record

# What is sampled beside the strategies of a cell: f itself, and the bare matrix products of a network.
F, FLOOR = "f", "floor"


@dataclass(frozen=True)
class Cell:
    """What the strategies are compared on: one problem at one size on one device.

    Fields:
        problem: A name from PROBLEMS, or where a user's own is: "file.py:attr", "module:attr".
        operator, n, batch, dtype, device, workload, threads, seed: As the columns of a record.
        strategies: Specs of the strategies to compare.
    """

    problem: str
    operator: str
    n: int
    batch: int
    dtype: str
    device: str
    workload: str
    threads: int
    seed: int
    strategies: tuple[str, ...]

    @property
    def cases(self) -> tuple[Case, ...]:
        """One case a strategy."""
        return tuple(Case(self, spec) for spec in self.strategies)

    @property
    def key(self) -> str:
        """A stable name of the cell."""
        return Case(self, "*").key


@dataclass(frozen=True)
class Case:
    """One strategy on one cell."""

    cell: Cell
    strategy: str

    @property
    def fields(self) -> Mapping[str, Any]:
        """The columns that identify a record."""
        columns = asdict(self.cell)
        del columns["strategies"]
        return {**columns, "strategy": self.strategy}

    @property
    def key(self) -> str:
        """The stable key of the case: column `case`."""
        c = self.cell
        return (
            f"{c.problem}/{c.operator}/{self.strategy}/n={c.n}/batch={c.batch}/{c.dtype}/{c.device}/{c.workload}"
            f"/threads={c.threads}/seed={c.seed}"
        )

    @property
    def line(self) -> tuple[Any, ...]:
        """What cases share that differ in n alone: a failure at n says something of larger n."""
        c = self.cell
        return (c.problem, c.operator, self.strategy, c.batch, c.dtype, c.device, c.workload, c.threads, c.seed)

    def record(self, status: Status, reason: str = "", **measured: Any) -> Record:
        """The row of this case."""
        return Record(case=self.key, **self.fields, status=status, reason=reason, **measured)
