"""The work on one cell as a value, so that it can be done anywhere: forecast, then measured, in a child of its own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jacstrat.available import available_bytes
from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.dispatch.child import ChildLimits
from jacstrat.harness.dispatch.children import Children
from jacstrat.harness.dispatch.here import measure_here
from jacstrat.harness.dispatch.isolation import measure_isolated
from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.predict import Forecast, forecasts, forecasts_isolated, might_not_fit
from jacstrat.harness.plan.sweep import Sweep
from jacstrat.measure.sampling import Settings


@dataclass(frozen=True)
class Job:
    """One cell, and how to measure it.

    Fields:
        cell: What to measure.
        settings: When a number is good enough; None to count and to judge, and sample nothing.
        timeout_s: As of a sweep.
        memory_bytes: As of a sweep: None for four fifths of what is available where the job is done.
        isolate: In a child process, see `harness.dispatch.isolation`.
        traces: A directory for Chrome traces, a file a case; None for none.
        energy: As of a sweep.
    """

    cell: Cell
    settings: Settings | None
    timeout_s: float
    memory_bytes: int | None = None
    isolate: bool = True
    traces: Path | None = None
    energy: bool = False

    @property
    def limits(self) -> ChildLimits:
        """What a case may use, here and now."""
        return ChildLimits(self.timeout_s, self.memory_bytes or available_bytes() * 4 // 5)


class Done(NamedTuple):
    """What came of a job.

    Fields:
        outcomes: Of every case of its cell; where the job was done in this process they are made as they are asked for.
        machine: The column `machine` of its rows; empty where no machine has measured it.
        ran_on: Where it was done, for the executor: the address of a worker.
        environment: What that place is, as plain JSON; None for this process, whose run records it.
    """

    outcomes: Iterable[Outcome]
    machine: str = ""
    ran_on: str = ""
    environment: Mapping[str, Any] | None = None


def limits_of(sweep: Sweep) -> ChildLimits:
    """What a case of the sweep may use on this machine."""
    return ChildLimits(sweep.timeout_s, sweep.max_memory_bytes or available_bytes() * 4 // 5)


@cache
def machine_here() -> str:
    """The column `machine` of what is measured in this process."""
    from jacstrat.measure.environment import snapshot

    return snapshot().id


def outcomes(
    job: Job,
    attend: Callable[[str], object] = lambda name: None,
    references: Path | None = None,
    children: Children | None = None,
) -> Generator[Outcome, None, None]:
    """Every case of the job's cell, each as a row.

    Args:
        job: What to do.
        attend: Told the strategy under way, or "f"; called often.
        references: A directory in which references are kept, see `harness.cell.references`.
        children: Those that are kept from cell to cell; None for one a cell.
    """
    cell, limits = job.cell, job.limits
    left = list(cell.strategies)
    with closing(_forecasts(cell, limits, job.isolate, attend, children)) as forecasts:
        for one in forecasts:
            if one.skip:
                left.remove(one.case.strategy)
                yield Outcome.of(one.case, "skipped", one.skip, one.cause)
    if not left:
        return
    cell = replace(cell, strategies=tuple(left))
    if job.isolate:
        rows = measure_isolated(cell, job.settings, limits, attend, references, job.traces, job.energy, children)
    else:
        rows = measure_here(cell, job.settings, attend, references, traces=job.traces, energy=job.energy)
    with closing(rows) as measured:
        yield from measured


def failed(job: Job, status: Any, reason: str) -> Done:
    """Every case of the job as a row of one status: what ended the job was none of its cases' own doing."""
    return Done(tuple(Outcome.of(case, status, reason) for case in job.cell.cases))


def _forecasts(
    cell: Cell, limits: ChildLimits, isolate: bool, attend: Callable[[str], object], children: Children | None
) -> Generator[Forecast, None, None]:
    """What is to be known before the cell is measured: nothing, unless it might not fit."""
    if not might_not_fit(cell, limits.memory_bytes):
        return
    memory_bytes = limits.memory_bytes if cell.device == "cpu" else None
    if isolate:
        yield from forecasts_isolated(cell, memory_bytes, limits.timeout_s, attend, children)
    else:
        yield from forecasts(cell, memory_bytes, attend)
