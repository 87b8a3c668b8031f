"""A cell measured in the calling process: where the device is lost to it, what is left has no process to go on in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from pathlib import Path

import torch

from jacstrat.core.case import F
from jacstrat.harness.cell.measuring import measure
from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.plan.cases import Cell
from jacstrat.measure.context import ContextLostError
from jacstrat.measure.sampling import Settings
from jacstrat.problems.base import Instance

# What ended the context of a device in this process, the key of a case, by type and index of the device.
_LOST: dict[tuple[str, int], str] = {}


def measure_here(
    cell: Cell,
    settings: Settings | None,
    attend: Callable[[str], object] = lambda name: None,
    cache: Path | None = None,
    instance: Instance | None = None,
    traces: Path | None = None,
    energy: bool = False,
) -> Generator[Outcome, None, None]:
    """Every case of the cell, each as a row: `harness.cell.measuring.measure`, with a row also for those after a lost
    device, in this cell and in later ones. A line on stderr says once that it is lost."""
    if (cause := _LOST.get(_place(cell))) is not None:
        reason = f"{cause} ended the device's context in this process, and only another one can go on; run it apart"
        yield from (Outcome.of(case, "skipped", reason) for case in cell.cases)
        return
    left, at = list(cell.strategies), F

    def attending(name: str) -> None:
        nonlocal at
        at = name
        attend(name)

    try:
        for outcome in measure(cell, settings, attending, cache, instance, traces, energy):
            if outcome.settles:
                left.remove(outcome.settles)
            yield outcome
    except ContextLostError as error:
        _LOST[_place(cell)] = cause = cell.case(at).key
        print(
            f"jacstrat: {cause} ended the context of {cell.device}: this process measures nothing more there; "
            "another one can, as each cell has by `jacstrat run`",
            file=sys.stderr,
        )
        for name in left:
            if at in (F, name):
                prefix = "f itself: " if at == F else ""
                yield Outcome.of(cell.case(name), "crashed", f"{prefix}it ended the device's context: {error}")
            else:
                reason = f"{at} ended the device's context, and only another process can go on; run it apart"
                yield Outcome.of(cell.case(name), "skipped", reason)


def _place(cell: Cell) -> tuple[str, int]:
    device = torch.device(cell.device)
    return device.type, device.index or 0
