"""The samples of a cell: of f, of the lower bound and of the strategies, taken side by side."""

from __future__ import annotations

import random
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from jacstrat.core.case import FLOOR, F
from jacstrat.graphs import Work
from jacstrat.harness.cell.cell_context import CellContext
from jacstrat.measure.context import is_lost
from jacstrat.measure.ranges import ranges_for
from jacstrat.measure.sampling import WorkSamples, sample

# The bare products as a graph, where a strategy is one.
FLOOR_REPLAYED = f"{FLOOR} replayed"


class Label(NamedTuple):
    """What is sampled.

    Fields:
        name: A strategy's spec, F, FLOOR or FLOOR_REPLAYED.
        cache: The one beside the first; "" for the first.
    """

    name: str
    cache: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.cache}" if self.cache else self.name


@dataclass(frozen=True)
class CellSamples:
    """The samples of a cell.

    Fields:
        first: By name, a strategy's spec, F, FLOOR or FLOOR_REPLAYED: those in the first cache, which numbers are of.
        beside: Those of the strategies in the other caches that are asked for, by cache and name.
        session: What has the same one was sampled side by side.
    """

    first: Mapping[str, WorkSamples]
    beside: Mapping[str, Mapping[str, WorkSamples]]
    session: str

    def fastest(self, names: Collection[str]) -> str | None:
        """The one of least median; None where none of them ran to the end."""
        ended = [name for name in names if not self.first[name].error]
        return min(ended, key=lambda name: self.first[name].summary.median, default=None)

    def raw(self, name: str) -> dict[str, Any]:
        """The samples in the first cache as plain JSON."""
        return self._raw(self.first[name])

    def raw_beside(self, name: str) -> dict[str, dict[str, Any]]:
        """The samples in the other caches as plain JSON, by cache."""
        return {cache: self._raw(by_name[name]) for cache, by_name in self.beside.items()}

    def _raw(self, series: WorkSamples) -> dict[str, Any]:
        return {
            "session": self.session,
            "calls": series.calls,
            "rounds": list(series.seconds),
            "seconds": list(series.seconds.values()),
            "host_s": list(series.host_s.values()),
            "sm_clock_mhz": list(series.sm_clock_mhz.values()),
            "temperature_c": list(series.temperature_c.values()),
            "dropped": {str(number): list(reasons) for number, reasons in series.dropped.items()},
            "stop_reason": series.stop_reason,
        }


def sample_cell(context: CellContext, works: Mapping[str, Work]) -> CellSamples:
    """Sample f, the lower bound and the work of the strategies, these once more for each cache beside the first."""
    cell, lower_bound, clocks = context.cell, context.lower_bound, context.instruments.beside
    by_label = {Label(F): context.f_work}
    if lower_bound:
        by_label[Label(FLOOR)] = lower_bound.work
        if lower_bound.replayed:
            by_label[Label(FLOOR_REPLAYED)] = lower_bound.replayed
    by_label |= {Label(name): work for name, work in works.items()}
    by_label |= {Label(name, cache): work for cache in clocks for name, work in works.items()}
    labels = {str(label): label for label in by_label}
    device, rng = torch.device(cell.device), random.Random(f"{cell.seed} {cell.key}")
    ranges = ranges_for(device)

    def attending(text: str) -> None:
        # The products are nobody's code: a hang in them is none of a strategy's.
        name = labels[text].name
        context.attend(F if name in (FLOOR, FLOOR_REPLAYED) else name)

    def key(text: str) -> str:
        name = labels[text].name
        return cell.case(FLOOR if name == FLOOR_REPLAYED else name).key

    series = sample(
        {str(label): work for label, work in by_label.items()},
        context.instruments.clock,
        context.settings,
        rng,
        F,
        attending,
        context.instruments,
        {str(label): clocks[label.cache] for label in by_label if label.cache},
        alike=tuple(works) if context.takes_turns else (),
        marked=lambda text: ranges(key(text)),
        lost=lambda: is_lost(device),
    )
    first = {label.name: series[str(label)] for label in by_label if not label.cache}
    beside = {cache: {name: series[str(Label(name, cache))] for name in works} for cache in clocks}
    return CellSamples(first, beside, uuid.uuid4().hex[:8])
