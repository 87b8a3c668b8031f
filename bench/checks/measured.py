"""A cell measured by the harness: f, the floor and the strategies side by side, in this process or in a child."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jacstrat.available import available_bytes
from jacstrat.core.case import FLOOR, Case
from jacstrat.core.errors import UsageError
from jacstrat.harness.cell.cell_samples import FLOOR_REPLAYED
from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.dispatch.child import ChildLimits
from jacstrat.harness.dispatch.children import Children
from jacstrat.harness.dispatch.here import measure_here
from jacstrat.harness.dispatch.isolation import measure_isolated
from jacstrat.harness.plan.cases import Cell
from jacstrat.measure.sampling import Settings
from jacstrat.record import Record
from jacstrat.records import RecordWriter, by_round
from jacstrat.statistics import Summary, ratio
from jacstrat.strategies import parse_strategy

from .cells import CPU, CellNetwork

NOT_THERE = "not there"
# Without a sign of life in a process of its own: what was not compiled ahead is compiled within.
TIMEOUT_S = 150.0


@dataclass(frozen=True)
class MeasuredCell:
    """The rows of one cell.

    Fields:
        name: Of the cell, with its dtype.
        records: By strategy.
        samples: Raw samples by strategy; those of "f" and, where there is one, of the "floor" too,
            and of FLOOR_REPLAYED where a strategy is a graph.
        missing: Strategies that this version does not have.
    """

    name: str
    records: Mapping[str, Record]
    samples: Mapping[str, Mapping[str, Any]]
    missing: tuple[str, ...] = ()

    def ratio(self, numerator: str, denominator: str) -> Summary | None:
        """The times of one over those of the other, by round; None where either has none."""
        if numerator not in self.samples or denominator not in self.samples:
            return None
        return ratio(by_round(self.samples[numerator]), by_round(self.samples[denominator]))

    def fault(self, strategy: str) -> str:
        """Why a strategy has no right result here; "" where it has."""
        if strategy in self.missing:
            return NOT_THERE
        record = self.records[strategy]
        return "" if record.status == "ok" else f"{record.status}: {record.reason}"


def measured(
    networks: Iterable[CellNetwork],
    strategies: Sequence[str],
    settings: Settings,
    writer: RecordWriter | None = None,
    device: str = CPU,
    is_late: Callable[[], bool] = lambda: False,
    children: Children | None = None,
) -> Iterator[MeasuredCell]:
    """Each network in each precision.

    Args:
        networks: What to measure.
        strategies: Specs; those that this version does not have are left out, and named.
        settings: When a number is good enough.
        writer: Takes the rows and the samples as they come.
        device: Where.
        is_late: Whether there is no time for another cell; those that are left are told of and not measured.
        children: Processes to measure in, where what dies takes nothing else with it; None for this process.
    """
    missing = tuple(spec for spec in strategies if not is_there(spec))
    there = [spec for spec in strategies if spec not in missing]
    for network in networks:
        for dtype in network.precisions:
            cell = network.cell(dtype, there, device)
            if is_late():
                print(f"{cell.key}: not reached", file=sys.stderr, flush=True)
                continue
            print(f"{cell.key} ...", file=sys.stderr, flush=True)
            records, samples = {}, {}
            for outcome in _outcomes(network, cell, settings, children):
                if outcome.samples and (case := Case.parse(outcome.case)):
                    samples[case.strategy] = outcome.samples
                    if replayed := outcome.samples.get("replayed"):
                        samples[FLOOR_REPLAYED] = replayed
                    if writer:
                        writer.write_samples(outcome.case, outcome.samples)
                if outcome.record:
                    records[outcome.record.strategy] = outcome.record
                    if writer:
                        writer.write(outcome.record)
            yield MeasuredCell(f"{network.name} {dtype}", records, samples, missing)


def _outcomes(network: CellNetwork, cell: Cell, settings: Settings, children: Children | None) -> Iterator[Outcome]:
    if children is None:
        return measure_here(cell, settings, instance=network.instance(cell.dtype, cell.device))
    limits = ChildLimits(TIMEOUT_S, available_bytes() * 4 // 5)
    return measure_isolated(replace(cell, problem=network.spec), settings, limits, children=children, profiled=False)


def floor_of(strategy: str) -> str:
    """The name of the samples of the bare products that a strategy is held against: of a graph their graph."""
    return FLOOR_REPLAYED if is_there(strategy) and parse_strategy(strategy).captures else FLOOR


def is_there(spec: str) -> bool:
    """Whether this version has the strategy."""
    try:
        parse_strategy(spec)
    except UsageError:
        return False
    return True


def shown(summary: Summary | None) -> str:
    """A ratio with its interval."""
    if summary is None:
        return "no ratio"
    interval = "" if summary.low is None or summary.high is None else f" [{summary.low:.2f}, {summary.high:.2f}]"
    return f"{summary.median:.2f}{interval}"
