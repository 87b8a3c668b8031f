"""A cell set up: the instance, its reference and the workload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from jacstrat.core.case import F
from jacstrat.core.errors import UnsupportedError
from jacstrat.core.operator import Operator, parse_operator
from jacstrat.core.torch_parts import import_torch_parts
from jacstrat.graphs import Work, captured
from jacstrat.harness.cell.phases import Phases
from jacstrat.harness.cell.references import find_reference
from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.devices import missing_device
from jacstrat.harness.plan.precision import DTYPES, TF32, missing_tf32
from jacstrat.problems.base import Instance
from jacstrat.problems.load import find_problem
from jacstrat.problems.reference import Reference
from jacstrat.problems.rules import check
from jacstrat.strategies import Prepared, parse_strategy
from jacstrat.strategies.limits import within_limits

Attend = Callable[[str], object]
# Of a cell whose results nobody judges.
UNKNOWN = Reference(np.empty(0), "none")


@dataclass(frozen=True)
class CellSetup:
    """What every strategy of the cell is measured against: the instance, its reference, the workload; and where the
    time of all that goes."""

    instance: Instance
    reference: Reference
    operator: Operator
    train: bool
    replay: bool = False
    generator: torch.Generator = field(default_factory=torch.Generator)
    phases: Phases = field(default_factory=Phases)

    def prepare(self, spec: str, f: Callable[..., Tensor]) -> Prepared:
        instance, strategy = self.instance, parse_strategy(spec)
        if strategy.is_remote and (self.train or self.replay):
            workload = "train" if self.train else "replay"
            raise UnsupportedError(f"{spec} works in a process of its own, which evaluates alone; leave out {workload}")
        return strategy.prepare(self.operator, f, instance.x, self.generator, args=instance.args)

    def work(self, evaluate: Callable[..., Tensor]) -> Work:
        """One call of the workload."""
        return one_call(evaluate, self.instance, self.train)

    def timed(self, work: Work) -> Work:
        """The work as it is timed: itself, or a replay of its graph, whose counts are those of the work."""
        return captured(work, self.instance.x.device) if self.replay else work


def one_call(evaluate: Callable[..., Tensor], instance: Instance, train: bool) -> Work:
    """What one call of the workload does: the operator alone, or with the way back to the parameters."""
    x, args, parameters = instance.x, instance.args, tuple(instance.parameters.values())
    if not train:
        return lambda: evaluate(x, *args)

    def step() -> object:
        loss = _mean_square(evaluate(x, *args))
        # A result that no parameter enters has nothing to send back.
        return torch.autograd.grad(loss, parameters, allow_unused=True) if loss.requires_grad else None

    return step


def _mean_square(result: Tensor) -> Tensor:
    return (torch.view_as_real(result) if result.is_complex() else result).square().mean()


def reason_to_skip(cell: Cell, here: bool = True) -> str | None:
    """Why the cell cannot be tried here, or on any machine, known before f runs."""
    problem = find_problem(cell.problem)
    if here and (reason := missing_device(cell.device)):
        return reason
    if cell.dtype == TF32 and (reason := missing_tf32(cell.device, here)):
        return reason
    return problem.unfit(parse_operator(cell.operator), cell.n)


def instantiate(cell: Cell, device: str) -> Instance:
    """The instance of a cell on a device.

    Raises:
        JacstratError: The problem cannot have this n, or has nothing to train.
    """
    instance = find_problem(cell.problem).instance(cell.n, cell.batch, DTYPES[cell.dtype], device, cell.seed)
    if cell.workload == "train" and not instance.parameters:
        raise UnsupportedError("it has no parameters to train")
    return instance


def set_up(
    cell: Cell,
    attend: Attend = lambda name: None,
    cache: Path | None = None,
    instance: Instance | None = None,
    phases: Phases | None = None,
    is_judged: bool = True,
) -> CellSetup:
    """The instance of a cell, or the one that is given, f checked, and its reference, from the cache if it is there;
    without one where no result is judged.

    Raises:
        JacstratError, or whatever f raises: The cell cannot be measured.
    """
    phases = phases or Phases()
    with phases.within("set up"):
        import_torch_parts()
        instance = instance or instantiate(cell, cell.device)
        operator = instance.operator(cell.operator)
        check(instance.f, instance.x, operator, instance.args)
    reference = UNKNOWN
    if is_judged:
        # A time of its own for the reference, which takes n products where it is a dense matrix.
        attend(F)
        with phases.within("reference"), within_limits("the reference by autograd"):
            reference = find_reference(instance, cell, cache, lambda: attend(F))
    setup = CellSetup(instance, reference, operator, cell.workload == "train", cell.workload == "replay", phases=phases)
    setup.generator.manual_seed(cell.seed)
    return setup
