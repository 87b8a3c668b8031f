"""A line: the cells that differ in n alone, one after the other, smallest first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from jacstrat.core.status import Cause
from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.directory import Standing
from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.sweep import line_of

# What a larger n of the same line would run into as well: a status or a cause, and the cause of what comes after.
AFTER: Mapping[str, Cause] = {"timeout": "after_timeout", "oom": "after_oom", "memory": "after_memory"}


class End(NamedTuple):
    """Why larger n are not tried in a line: as the row of each says it."""

    n: int
    reason: str
    cause: Cause


def end_of_line(n: int, status: str, reason: str, cause: str) -> End | None:
    """What ends a line with a case at n; None where larger n are to be tried."""
    after = AFTER.get(status) or AFTER.get(cause)
    return End(n, f"{status} at n = {n}: {reason}", after) if after else None


class CellQueue:
    """What is left of a line, and what is known of it: the strategies that have ended, and where it is measured.

    A strategy that ran out of time or memory at n is not tried at larger n, so the cells of a line wait for each other;
    and a curve over n is one machine's, so they go where the first one went.

    Fields:
        device: Of all its cells.
        ran_on: Where its last cell was measured, as `Done.ran_on`; empty before the first.
        cases: How many are left, those included that will be skipped.
    """

    def __init__(self, cells: Iterable[Cell], done: Mapping[str, Standing]) -> None:
        self._left: deque[Cell] = deque()
        self._ended: dict[str, End] = {}
        self._machine = ""
        self.device = ""
        self.ran_on = ""
        for cell in cells:
            self.device = cell.device
            for case in cell.cases:
                if standing := done.get(case.key):
                    self._note(case.strategy, cell.n, standing)
            if left := tuple(case.strategy for case in cell.cases if case.key not in done):
                self._left.append(replace(cell, strategies=left))
        self.cases = sum(len(cell.strategies) for cell in self._left)

    def next_cell(self) -> tuple[tuple[Outcome, ...], Cell | None]:
        """Rows of the cases that need not be tried, and the next cell with those that must; None at the end."""
        skipped = []
        while self._left:
            cell = self._left.popleft()
            self.cases -= len(cell.strategies)
            tried = []
            for case in cell.cases:
                ended = self._ended.get(case.strategy)
                if ended is not None and cell.n > ended.n:
                    skipped.append(self.placed(Outcome.of(case, "skipped", ended.reason, ended.cause)))
                else:
                    tried.append(case.strategy)
            if tried:
                return tuple(skipped), replace(cell, strategies=tuple(tried))
        return tuple(skipped), None

    def placed(self, outcome: Outcome, machine: str = "") -> Outcome:
        """The outcome with the machine in its row, and noted for the larger n; the line's machine where it has none."""
        record = outcome.record
        if record is None:
            return outcome
        self._note(record.strategy, record.n, Standing(record.status, record.reason, record.cause, machine))
        return outcome._replace(record=replace(record, machine=machine or self._machine))

    def _note(self, strategy: str, n: int, standing: Standing) -> None:
        self._machine = standing.machine or self._machine
        if end := end_of_line(n, standing.status, standing.reason, standing.cause):
            self._ended[strategy] = min(self._ended.get(strategy, end), end)


def lines(cells: Iterable[Cell], done: Mapping[str, Standing]) -> list[CellQueue]:
    """The lines of a sweep's cells, in its order; those without a case that is left are not there.

    Args:
        cells: As `Sweep.cells` gives them: each line together.
        done: What stands already, by the key of its case.
    """
    queues = (CellQueue(group, done) for _, group in groupby(cells, key=line_of))
    return [line for line in queues if line.cases]
