"""The scheduler: how cells are submitted, wherever they are measured: lines side by side, each one cell at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Protocol

from jacstrat.core.case import Case
from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.dispatch.job import Done, Job
from jacstrat.harness.dispatch.lines import CellQueue
from jacstrat.harness.dispatch.pool import Pool, give_up
from jacstrat.record import Record


class Observer(Protocol):
    """Is told how a run goes on."""

    def started(self, done: int, total: int) -> None:
        """`done` of `total` cases are there from an earlier run."""

    def attending(self, case: Case) -> None:
        """The case whose code runs now; called often."""

    def under_way(self, cells: int, workers: int) -> None:
        """So many cells are under way, at so many workers; called as cells begin and end, and while nothing happens."""

    def finished(self, record: Record) -> None:
        """A row is on disk."""


def schedule(
    left: Sequence[CellQueue],
    job: Job,
    pool: Pool,
    under_way_now: Callable[[int, int], object],
    receive: Callable[[Done], object] = lambda done: None,
) -> Generator[Outcome, None, None]:
    """Every case of the lines, as rows and their samples, in the order in which they end.

    Args:
        left: The lines, the first ones to be begun first.
        job: How to measure each cell; its own cell is of no account.
        pool: Where.
        under_way_now: Told how many cells are under way, and how many workers there are.
        receive: Told of each result before its outcomes.
    """
    waiting = deque(left)
    under_way: dict[Future[Done], tuple[CellQueue, Job]] = {}
    try:
        while waiting or under_way:
            jobs = {future: one for future, (_, one) in under_way.items()}
            while (line := _first_with_room(waiting, pool, jobs)) is not None:
                waiting.remove(line)
                skipped, cell = line.next_cell()
                yield from skipped
                if cell is not None:
                    one = replace(job, cell=cell)
                    future = pool.submit(one, line.ran_on)
                    under_way[future], jobs[future] = (line, one), one
            if not waiting and not under_way:
                return
            under_way_now(len(under_way), pool.workers())
            for future in pool.wait(jobs):
                line, one = under_way.pop(future)
                done = pool.result(future, one)
                if done is None:
                    under_way[pool.submit(one, "")] = (line, one)
                    continue
                receive(done)
                line.ran_on = done.ran_on
                for outcome in done.outcomes:
                    yield line.placed(outcome, done.machine)
                # Before those not yet begun: a line is done with before the next one, where there is one place.
                waiting.appendleft(line)
    finally:
        give_up(under_way)


def _first_with_room(waiting: Iterable[CellQueue], pool: Pool, jobs: Mapping[Future[Done], Job]) -> CellQueue | None:
    rooms: dict[str, bool] = {}
    for line in waiting:
        if line.device not in rooms:
            rooms[line.device] = pool.room(line.device, jobs)
        if rooms[line.device]:
            return line
    return None
