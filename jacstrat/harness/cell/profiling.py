"""What the device does in a call of each case of a cell, found in a process that times nothing.

A profiler that was started may stay in the way of launches for as long as its process lives (CUPTI does behind torch's
own), and on a card one process measures many cells. So there another one is kept for profiles alone.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from jacstrat.core.case import Case, F
from jacstrat.core.status import Status
from jacstrat.graphs import Work
from jacstrat.harness.cell.columns import activity_columns
from jacstrat.harness.cell.failures import failure_on
from jacstrat.harness.cell.messages import case_of, check
from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.cell.prepared_case import work_of
from jacstrat.harness.cell.setup import Attend, CellSetup, set_up
from jacstrat.harness.cell.surroundings import kernels_in, surroundings
from jacstrat.harness.cell.traces import trace_file
from jacstrat.harness.plan.cases import Cell
from jacstrat.measure.activity import Activity, is_seen, observed
from jacstrat.strategies import parse_strategy


@dataclass(frozen=True)
class Profile:
    """What a profiler saw of a case.

    Fields:
        case: Which.
        activity: In one call; None where nothing was to be seen, or the case failed.
        seconds: Of host time that it took, preparing included.
    """

    case: Case
    activity: Activity | None
    seconds: float = 0.0

    @property
    def settles(self) -> str:
        """The strategy, for `harness.dispatch.isolation`."""
        return self.case.strategy

    def to_data(self) -> dict[str, Any]:
        """The profile as plain JSON."""
        activity = None if self.activity is None else asdict(self.activity)
        return {"case": self.case.key, "activity": activity, "seconds": self.seconds}

    @classmethod
    def parse(cls, cell: Cell, data: Any) -> Profile:
        """The profile of one of the cell's cases that is in what `to_data` gave.

        Raises:
            ValueError, KeyError, TypeError: It is none.
        """
        told = data["activity"]
        if told is not None:
            told = Activity(check(told["kernels"], int), check(told["kernel_s"], float))
        return cls(case_of(cell, data["case"]), told, check(data["seconds"], float))

    @classmethod
    def died(cls, case: Case, status: Status, reason: str) -> Profile:
        """That of a case that ended its process: its times stand."""
        return cls(case, None)

    def into(self, outcome: Outcome) -> Outcome:
        """The outcome of the same case, which was timed elsewhere, with what the profiler saw."""
        record, samples = outcome.record, outcome.samples
        assert record is not None
        assert samples is not None
        phases_s = {**samples["phases_s"], "profile": self.seconds}
        columns = activity_columns(self.activity, record.warm_s)
        return outcome._replace(record=replace(record, **columns), samples={**samples, "phases_s": phases_s})


def is_apart(cell: Cell, traces: Path | None) -> bool:
    """Whether the cases of a cell that children measure are profiled, in a child of their own."""
    return cell.device != "cpu" and (traces is not None or is_seen(torch.device(cell.device)))


def profiles(
    cell: Cell, attend: Attend = lambda name: None, cache: Path | None = None, traces: Path | None = None
) -> Generator[Profile, None, None]:
    """The profile of every case of the cell, in this process; arguments as those of `measuring.measure`.

    Raises:
        ContextLostError: The process can do nothing more on the device.
    """
    attend(F)
    with surroundings(cell), kernels_in(cache):
        try:
            setup = set_up(cell, attend, is_judged=False)
        except (Exception, SystemExit) as error:
            failure_on(cell.device, error)
            yield from (Profile(case, None) for case in cell.cases)
            return
        for case in cell.cases:
            attend(case.strategy)
            begin = time.perf_counter()
            try:
                activity = _activity(case, setup, attend, traces)
            except (Exception, SystemExit) as error:
                failure_on(cell.device, error)
                activity = None
            yield Profile(case, activity, time.perf_counter() - begin)


def _activity(case: Case, setup: CellSetup, attend: Attend, traces: Path | None) -> Activity | None:
    if parse_strategy(case.strategy).is_remote:
        return None
    work = work_of(case, setup, attend)
    return profile(work, case, _call_s(work, case.device), traces)


def profile(work: Work, case: Case, call_s: float, traces: Path | None) -> Activity | None:
    """What the device does in a call of a case, and its trace where one is asked for."""
    file = None if traces is None else trace_file(traces, case.key)
    return observed(work, torch.device(case.device), case.key, call_s, file)


def _call_s(work: Work, device: str) -> float:
    """Seconds of a call of what was called before, the device idle before and after."""
    begin = time.perf_counter()
    work()
    if device != "cpu":
        torch.accelerator.synchronize(torch.device(device))
    return time.perf_counter() - begin
