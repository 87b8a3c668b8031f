"""What is known of f before anything is built: its cost, the workload, and the name that a choice is stored under."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

import torch
from torch import Tensor

from jacstrat.core.operator import Operator
from jacstrat.core.version import read_version
from jacstrat.strategies.auto import disk_cache
from jacstrat.strategies.auto.candidates import Evidence
from jacstrat.strategies.auto.counting import UNKNOWN, Evaluation, evaluation, product_costs
from jacstrat.strategies.base import Args, Function
from jacstrat.strategies.workload import Workload
from jacstrat.trace.arguments import taken


class Counted(NamedTuple):
    """What is known of f before anything is built.

    Fields:
        evidence: What its products cost.
        workload: What a call is timed as; None where nothing is timed.
        name: What the choice is stored under; None where it is not.
    """

    evidence: Evidence
    workload: Workload | None
    name: str | None


def counted_of(operator: Operator, f: Function, x: Tensor, args: Args, timed: bool, compiles: bool) -> Counted:
    """Count f at x.

    Args:
        operator, f, x, args: What is to be prepared.
        timed: There may be a trial.
        compiles: Programs of a compiler may stand in it.
    """
    f_counts = _evaluation(f, x, args)
    workload = Workload.of(f, x, args) if timed else None
    evidence = Evidence(operator, x, product_costs(operator, f_counts.work), f_counts.work, workload, compiles=compiles)
    name = _name(operator, x, f_counts, workload, compiles) if workload and f_counts.log else None
    return Counted(evidence, workload, name)


def _evaluation(f: Function, x: Tensor, args: Args) -> Evaluation:
    """What f costs at one point, or at those of x where it takes no other number of them."""
    every = (x, args)
    first = (x[:1], taken(x, args, slice(1)))
    for points, beside in (first, every) if x.dim() == 2 and len(x) > 1 else (every,):
        with suppress(Exception):
            return evaluation(f, points, beside)
    return UNKNOWN


def _name(operator: Operator, x: Tensor, f_counts: Evaluation, workload: Workload, compiles: bool) -> str:
    """What the choice is stored under: all that it depends on, memory and load of the machine apart."""
    device = (
        torch.cuda.get_device_name(x.device) if x.device.type == "cuda" else f"{x.device.type} {disk_cache.processor()}"
    )
    return disk_cache.digest(
        {
            "operations": f_counts.log,
            "operator": operator.spec,
            "shape": tuple(x.shape),
            "dtype": str(x.dtype),
            "device": device,
            "threads": torch.get_num_threads(),
            "workload": workload.name,
            "compiles": compiles,
            "tracked": (torch.is_grad_enabled(), x.requires_grad),
            "torch": torch.__version__,
            "jacstrat": read_version(),
        }
    )
