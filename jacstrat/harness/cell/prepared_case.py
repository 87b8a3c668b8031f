"""A strategy brought to a first result: prepared, called, judged and counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import perf_counter

import torch
from torch import Tensor

from jacstrat.core.case import Case
from jacstrat.core.status import Status
from jacstrat.graphs import Work
from jacstrat.harness.cell.judging import Drawn, judge
from jacstrat.harness.cell.setup import Attend, CellSetup
from jacstrat.harness.cell.verdicts import verdict
from jacstrat.measure import accuracy
from jacstrat.measure.accuracy import Errors
from jacstrat.measure.counters import Counts, count
from jacstrat.measure.elsewhere import Elsewhere
from jacstrat.measure.memory import peak_bytes
from jacstrat.strategies import Prepared, parse_strategy
from jacstrat.strategies.program import start_compiler


@dataclass(frozen=True)
class PreparedCase:
    """A strategy that got as far as a first result.

    Fields:
        case: Which.
        work: One call of it, as it is timed.
        prepare_s: Time of prepare and the first call.
        errors: Of that call's result.
        status, reason: ok or wrong, and why.
        counts: What a call does.
        drawn: What repeated draws show of a stochastic strategy; None of others.
        software: What computes it, where another process does.
        is_graph: The work is one replay of a graph of the device, beside f and others that are not.
    """

    case: Case
    work: Work
    prepare_s: float
    errors: Errors
    status: Status
    reason: str
    counts: Counts
    drawn: Drawn | None = None
    software: Mapping[str, str] | None = None
    is_graph: bool = False

    @property
    def is_right(self) -> bool:
        """Others may be compared with it. What is right on average is not to be compared with what is right."""
        return self.status == "ok" and self.drawn is None


def prepare_case(case: Case, setup: CellSetup, attend: Attend) -> PreparedCase:
    """Prepare a strategy, run it once, compare the result with the reference, and count what a call does.

    Raises:
        JacstratError, or whatever f and the strategy raise: It gives no result.
    """
    phases = setup.phases
    with phases.within("prepare"):
        _start(case, setup, attend)
        begin = perf_counter()
        evaluate, result = _first_result(case, setup)
        prepare_s = perf_counter() - begin
    with phases.within("judge"):
        errors, drawn = _judged(case, setup, evaluate, result, attend)
        status, reason = verdict(errors, setup, drawn)
    attend(case.strategy)
    if (remote := evaluate.contraction.remote) is not None:
        work = Elsewhere(setup.work(evaluate), remote.seconds)
        return PreparedCase(case, work, prepare_s, errors, status, reason, Counts(), drawn, remote.software)
    with phases.within("count"):
        counts = _counts(evaluate, setup)
    with phases.within("prepare"):
        timed = setup.timed(setup.work(evaluate))
    is_graph = evaluate.strategy.captures and not setup.replay
    return PreparedCase(case, timed, prepare_s, errors, status, reason, counts, drawn, is_graph=is_graph)


def work_of(case: Case, setup: CellSetup, attend: Attend) -> Work:
    """One call of a strategy as it is timed, called once, with nothing judged and counted.

    Raises:
        JacstratError, or whatever f and the strategy raise: It gives no result.
    """
    _start(case, setup, attend)
    evaluate, _ = _first_result(case, setup)
    attend(case.strategy)
    return setup.timed(setup.work(evaluate))


def _start(case: Case, setup: CellSetup, attend: Attend) -> None:
    """Start what a strategy needs once a process: that is no part of preparing."""
    strategy, device = parse_strategy(case.strategy), setup.instance.x.device
    if strategy.missing is None:
        strategy.start(device)
        attend(case.strategy)
    if strategy.starts_compiler:
        start_compiler(device)
        attend(case.strategy)


def _first_result(case: Case, setup: CellSetup) -> tuple[Prepared, Tensor]:
    """The prepared operator, and what its first call gives, which is done on return."""
    instance = setup.instance
    evaluate = setup.prepare(case.strategy, instance.f)
    result = evaluate(instance.x, *instance.args)
    if instance.x.device.type != "cpu":
        torch.accelerator.synchronize(instance.x.device)
    return evaluate, result


def _judged(
    case: Case, setup: CellSetup, evaluate: Prepared, result: Tensor, attend: Attend
) -> tuple[Errors, Drawn | None]:
    """The errors of the first result, and of a stochastic strategy what repeated draws show."""
    reference, operator, instance = setup.reference, setup.operator, setup.instance
    truth, scale = reference.value(operator), reference.scale(operator)
    errors = accuracy.errors(result, truth, scale, case.dtype, reference.uncertainty(operator))
    strategy = evaluate.strategy
    if not strategy.stochastic:
        return errors, None
    drawn = judge(
        strategy,
        operator,
        instance.f,
        instance.x,
        reference,
        errors.tolerated,
        case.key,
        lambda: attend(case.strategy),
        instance.args,
    )
    return errors, drawn


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
        peak = peak_bytes(setup.work(evaluate), x.device.type) if x.device.type != "cpu" else None
        if peak is not None and (kept_bytes := evaluate.contraction.kept_bytes) is not None:
            peak += kept_bytes()
        # A graph replays the kernels of its eager form, a compiler writes others.
        moved = None if evaluate.strategy.starts_compiler else counts.moved_bytes
        counts = replace(counts, aten_ops=None, peak_bytes=peak, moved_bytes=moved)
    return counts
