"""A cell set up: the instance, its reference and the workload, and each strategy brought to a first result."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

# Torch imports these when a derivative or a dispatch mode is first used: half a second that would be put down to the
# first strategy of every child.
import torch._decomp.decompositions_for_jvp
import torch._dynamo
import torch.fx.experimental.symbolic_shapes
from torch import Tensor

from jacstrat.core.case import Case, F
from jacstrat.core.errors import (
    CrashedError,
    JacstratError,
    MissingError,
    UnsupportedError,
    WrongResultError,
    message_of,
)
from jacstrat.core.operator import Operator, parse_operator
from jacstrat.core.status import Status
from jacstrat.graphs import captured
from jacstrat.harness.cell.judging import Drawn, judge
from jacstrat.harness.cell.phases import Phases
from jacstrat.harness.cell.references import find_reference
from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.precision import DTYPES, TF32, float32_products, missing_tf32
from jacstrat.harness.plan.sweep import missing_device
from jacstrat.measure.accuracy import Errors, errors
from jacstrat.measure.clocks import Elsewhere, Work
from jacstrat.measure.counters import Counts, count
from jacstrat.measure.memory import peak_bytes
from jacstrat.problems.base import Instance
from jacstrat.problems.load import find_problem
from jacstrat.problems.reference import Reference
from jacstrat.problems.rules import check
from jacstrat.strategies import Prepared, parse_strategy
from jacstrat.strategies.limits import within_limits
from jacstrat.strategies.program import start_compiler

Attend = Callable[[str], object]


@dataclass
class PreparedCase:
    """A strategy that got as far as a first result; `software` is what computes it, where another process does."""

    case: Case
    work: Work
    prepare_s: float
    errors: Errors
    counts: Counts
    drawn: Drawn | None = None
    software: Mapping[str, str] | None = None


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


@contextmanager
def surroundings(cell: Cell) -> Iterator[None]:
    """Threads, device and TF32 as the cell says, gradients tracked only where it trains; what was before comes back."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(cell.threads)
    try:
        # Of several devices the current one: the allocator's peaks, too, are of that.
        index = torch.device(cell.device).index
        with (
            torch.accelerator.device_index(index),
            torch.set_grad_enabled(cell.workload == "train"),
            float32_products(cell.dtype == TF32),
        ):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)


@contextmanager
def kernels_in(cache: Path | None) -> Iterator[None]:
    """Compiled kernels kept in a place of the run: one that finds those of an earlier run would prepare in no time."""
    if cache is None or (name := "TORCHINDUCTOR_CACHE_DIR") in os.environ:
        yield
        return
    os.environ[name] = str(cache / "kernels")
    try:
        yield
    finally:
        del os.environ[name]


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
) -> CellSetup:
    """The instance of a cell, or the one that is given, f checked, and its reference, from the cache if it is there.

    Raises:
        JacstratError, or whatever f raises: The cell cannot be measured.
    """
    phases = phases or Phases()
    with phases.within("set up"):
        instance = instance or instantiate(cell, cell.device)
        operator = instance.operator(cell.operator)
        check(instance.f, instance.x, operator, instance.args)
    # A time of its own for the reference, which takes n products where it is a dense matrix.
    attend(F)
    with phases.within("reference"), within_limits("the reference by autograd"):
        reference = find_reference(instance, cell, cache, lambda: attend(F))
    setup = CellSetup(instance, reference, operator, cell.workload == "train", cell.workload == "replay", phases=phases)
    setup.generator.manual_seed(cell.seed)
    return setup


def prepare_case(case: Case, setup: CellSetup, attend: Attend) -> PreparedCase:
    """Prepare a strategy, run it once, compare the result with the reference, and count what a call does."""
    f, x, args, phases = setup.instance.f, setup.instance.x, setup.instance.args, setup.phases
    with phases.within("prepare"):
        if (asked := parse_strategy(case.strategy)).missing is None:
            asked.start(x.device)
            attend(case.strategy)
        if asked.starts_compiler:
            start_compiler(x.device)
            attend(case.strategy)
        begin = perf_counter()
        evaluate = setup.prepare(case.strategy, f)
        result = evaluate(x, *args)
        if x.device.type != "cpu":
            torch.accelerator.synchronize(x.device)
        prepare_s = perf_counter() - begin

    reference, operator = setup.reference, setup.operator
    with phases.within("judge"):
        truth, scale = reference.value(operator), reference.scale(operator)
        error = errors(result, truth, scale, case.dtype, reference.uncertainty(operator))
        drawn = None
        if (strategy := evaluate.strategy).stochastic:
            slack = error.tolerated
            drawn = judge(strategy, operator, f, x, reference, slack, case.key, lambda: attend(case.strategy), args)
    attend(case.strategy)
    if (remote := evaluate.contraction.remote) is not None:
        elsewhere = Elsewhere(setup.work(evaluate), remote.seconds)
        return PreparedCase(case, elsewhere, prepare_s, error, Counts(), drawn, remote.software)
    with phases.within("count"):
        counts = _counts(evaluate, setup)
    with phases.within("prepare"):
        work = setup.timed(setup.work(evaluate))
    return PreparedCase(case, work, prepare_s, error, counts, drawn)


def _counts(evaluate: Prepared, setup: CellSetup) -> Counts:
    """What a call of the workload does, by a prepared operator that was called once.

    `auto` is counted by what it chose: with taps in f it would choose anew. A program by its eager form: its own
    kernels and buffers are out of the sight of counters.
    """
    f, x = setup.instance.f, setup.instance.x
    strategy = evaluate.strategy.counted
    plain = evaluate if strategy is evaluate.strategy else setup.prepare(strategy.spec, f)

    def counted(g: Callable[..., Tensor]) -> Work:
        work = setup.work(plain if g is f else setup.prepare(strategy.spec, g))
        # What was called at these points before has nothing left to do once; the way back of training has.
        if g is not f or plain is not evaluate or setup.train:
            work()
        return work

    counts = count(counted, f, x)
    if (passes := plain.contraction.passes) is not None:
        counts = replace(counts, **passes._asdict())
    if plain is not evaluate:
        held = peak_bytes(setup.work(evaluate), x.device.type) if x.device.type != "cpu" else None
        if held is not None and (kept := evaluate.contraction.kept_bytes) is not None:
            held += kept()
        # A graph replays the kernels of its eager form, a compiler writes others.
        moved = None if evaluate.strategy.starts_compiler else counts.moved_bytes
        counts = replace(counts, aten_ops=None, peak_bytes=held, moved_bytes=moved)
    return counts


def verdict(found: Errors, setup: CellSetup, drawn: Drawn | None = None) -> tuple[Status, str]:
    """ok or wrong, and why; a stochastic strategy by its draws."""
    if not np.isfinite(setup.reference.diagonal).all():
        return "wrong", _without_reference(setup)
    if drawn is not None:
        return ("wrong", drawn.fault) if drawn.fault else ("ok", "")
    if found.within:
        return "ok", ""
    dtype, largest = found.tolerance.dtype, torch.finfo(setup.instance.x.dtype).max
    if not found.in_range:
        return "wrong", f"the answer is beyond the range of {dtype}, which ends at {largest:.3g}"
    if not found.finite:
        return "wrong", f"the result is not finite; {dtype} ends at {largest:.3g}"
    return "wrong", f"relative error {found.rel_error:.2g} is beyond {_tolerated(found, setup)}"


def _tolerated(found: Errors, setup: CellSetup) -> str:
    """What an error is beyond, and whether the reference is worth that."""
    if found.uncertainty > found.tolerance.value:
        words = f"{found.uncertainty:.2g}, which the reference itself is uncertain by"
    else:
        words = f"the tolerance {found.tolerance}"
    error = setup.reference.error(setup.operator)
    if error is None or error <= found.tolerated:
        return words
    return f"{words}; the reference itself is uncertain by {error:.2g} at some x: at a kink of f, or ill-conditioned"


def _without_reference(setup: CellSetup) -> str:
    """Why there is no number to compare with."""
    lost = np.isnan(setup.reference.diagonal).reshape(len(setup.reference.diagonal), -1).any(-1)
    if lost.any() and not setup.reference.closed:
        with torch.no_grad():
            y = setup.instance.value()
        lost = lost & torch.isfinite(y).reshape(len(lost), -1).all(-1).cpu().numpy()
        if lost.any():
            return (
                f"the reference is nan in {int(lost.sum())} of {lost.size} rows, first in row {int(lost.argmax())}, "
                "where f(x) is finite: reverse mode gives nan there, as at a kink, a norm or sqrt at 0, whose "
                "derivatives are torch's convention; keep such terms out of f, as the diagonal of pair distances"
            )
    return "the reference is not finite: is x in the domain of f?"


def failure(error: BaseException) -> tuple[Status, str]:
    """The status of an exception, and its message on one line."""
    text = message_of(error)
    if isinstance(error, UnsupportedError):
        return "unsupported", text
    if isinstance(error, WrongResultError):
        return "wrong", text
    if isinstance(error, MissingError):
        return "skipped", text
    if isinstance(error, CrashedError):
        return "crashed", text
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        return "oom", text
    if isinstance(error, RuntimeError) and "not implemented for '" in text:
        return "unsupported", text
    return "error", text if isinstance(error, JacstratError) else f"{type(error).__name__}: {text}"
