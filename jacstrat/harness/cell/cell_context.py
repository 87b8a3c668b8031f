"""What all cases of a cell are measured with: its set-up, what f takes, its bounds, and the instruments."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from jacstrat.core.case import F
from jacstrat.graphs import Work
from jacstrat.harness.cell.failures import failure_on
from jacstrat.harness.cell.instruments import Instruments, instruments_for
from jacstrat.harness.cell.lower_bound import LowerBound, lower_bound_of, with_replay
from jacstrat.harness.cell.peaks import peaks_of
from jacstrat.harness.cell.phases import Phases
from jacstrat.harness.cell.prepared_case import PreparedCase
from jacstrat.harness.cell.setup import Attend, CellSetup, set_up
from jacstrat.harness.plan.cases import Cell
from jacstrat.measure.elsewhere import TURN_S, Elsewhere, Turns
from jacstrat.measure.roofline import Peaks
from jacstrat.measure.sampling import Settings
from jacstrat.problems.base import Instance


@dataclass(frozen=True)
class CellContext:
    """What all cases of a cell are measured with.

    Fields:
        cell: What is measured.
        setup: Instance, reference and workload.
        f_work: One evaluation of f.
        lower_bound: Of a network; None of other functions.
        peaks: Rates of the device; None where no time is taken.
        instruments: Clocks, and the card.
        settings: When a number is good enough.
        attend: Told whose code is about to run.
        traces: A directory for a Chrome trace of every case; None for none.
    """

    cell: Cell
    setup: CellSetup
    f_work: Work
    lower_bound: LowerBound | None
    peaks: Peaks | None
    instruments: Instruments
    settings: Settings
    attend: Attend
    traces: Path | None

    def for_cases(self, cases: Iterable[PreparedCase]) -> CellContext:
        """The context in which these are timed: with the lower bound as a graph where one of them is a graph, and
        processes that take turns where another one does some of it."""
        cases = tuple(cases)
        context = self._with_replayed_bound() if any(case.is_graph for case in cases) else self
        return context._in_turns() if any(isinstance(case.work, Elsewhere) for case in cases) else context

    def _with_replayed_bound(self) -> CellContext:
        """Where it cannot be captured there is none, and no ratio to it."""
        if self.lower_bound is None:
            return self
        try:
            bound = with_replay(self.lower_bound, self.setup.instance.x.device)
        except (Exception, SystemExit) as error:
            failure_on(self.cell.device, error)
            return self
        return replace(self, lower_bound=bound)

    def _in_turns(self) -> CellContext:
        clocks = {cache: Turns(clock) for cache, clock in self.instruments.beside.items()}
        return replace(
            self,
            instruments=replace(self.instruments, clock=Turns(self.instruments.clock), beside=clocks),
            settings=replace(self.settings, block_s=max(self.settings.block_s, TURN_S)),
        )

    @property
    def takes_turns(self) -> bool:
        """Processes take turns, so that blocks are to have the same number of calls."""
        return isinstance(self.instruments.clock, Turns)


def context_of(
    cell: Cell,
    settings: Settings | None,
    attend: Attend,
    cache: Path | None,
    instance: Instance | None,
    traces: Path | None,
    energy: bool,
    opened: ExitStack,
) -> CellContext:
    """Set up a cell and open its instruments, which `opened` closes; arguments as those of `measuring.measure`.

    Raises:
        JacstratError, or whatever f raises: The cell cannot be measured.
    """
    phases = Phases()
    setup = set_up(cell, attend, cache, instance, phases)
    with phases.within("set up"):
        f_work = setup.timed(setup.instance.value)
        lower_bound = lower_bound_of(setup)
        caches = (settings or Settings()).caches
        instruments = opened.enter_context(instruments_for(cell.device, caches, energy))
        # Counts alone are the same on every machine; rates are not.
        peaks = None if settings is None else peaks_of(cell, cache, lambda: attend(F))
    return CellContext(cell, setup, f_work, lower_bound, peaks, instruments, settings or Settings(), attend, traces)
