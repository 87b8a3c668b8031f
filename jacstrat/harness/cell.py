"""Measure one cell in this process: prepare, check, count, then sample its strategies and f side by side."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

# Torch imports these when a derivative or a dispatch mode is first used: half a second that would be put down to the
# first strategy of every child.
import torch._decomp.decompositions_for_jvp
import torch._dynamo
import torch.fx.experimental.symbolic_shapes
from torch import Tensor

from jacstrat.errors import JacstratError, UnsupportedError
from jacstrat.harness.cases import Case, Cell, F
from jacstrat.harness.sweep import DTYPES, missing_device
from jacstrat.measure.accuracy import TOLERANCE, Errors, errors
from jacstrat.measure.clocks import Clock, Work, clock_for
from jacstrat.measure.counters import Counts, count
from jacstrat.measure.sampling import Series, Settings, sample
from jacstrat.problems.base import Instance, Reference
from jacstrat.problems.load import find_problem
from jacstrat.records import COLUMNS, Record, Status
from jacstrat.statistics import ratio
from jacstrat.strategies import parse_strategy
from jacstrat.strategies.base import checked

Attend = Callable[[str], object]


class Outcome(NamedTuple):
    """A row and its raw samples; the samples alone where the case is f itself."""

    case: str
    record: Record | None
    samples: dict[str, Any] | None


@dataclass
class Contestant:
    """A strategy that got as far as a first result."""

    case: Case
    work: Work
    prepare_s: float
    errors: Errors
    counts: Counts


@dataclass(frozen=True)
class Bench:
    """What every strategy of the cell is measured against: the instance, its reference, the workload."""

    instance: Instance
    reference: Reference
    operator: str
    train: bool
    generator: torch.Generator = field(default_factory=torch.Generator)

    def prepare(self, spec: str, f: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return parse_strategy(spec).prepare(self.operator, f, self.instance.x, self.generator)

    def work(self, evaluate: Callable[[Tensor], Tensor]) -> Work:
        """One call of the workload."""
        x, parameters = self.instance.x, tuple(self.instance.parameters.values())
        if not self.train:
            return lambda: evaluate(x)

        def step() -> object:
            loss = evaluate(x).square().mean()
            # A result that no parameter enters has nothing to send back.
            return torch.autograd.grad(loss, parameters, allow_unused=True) if loss.requires_grad else None

        return step


def measure(cell: Cell, settings: Settings, attend: Attend = lambda name: None) -> Generator[Outcome, None, None]:
    """Every case of the cell, each as a row, whatever happens to it.

    Args:
        cell: What to measure.
        settings: When a number is good enough.
        attend: Told the strategy (or "f") whose code is about to run, so that a hang can be put down to it.

    Raises:
        KeyboardInterrupt: Only this ends it early; rows that were yielded stand.
    """
    attend(F)
    if reason := _reason_to_skip(cell):
        yield from (_row(case.record("skipped", reason)) for case in cell.cases)
        return
    with surroundings(cell):
        try:
            bench = set_up(cell)
        except (Exception, SystemExit) as error:
            status, reason = failure(error)
            yield from (_row(case.record(status, f"f itself: {reason}")) for case in cell.cases)
            return
        contestants = {}
        for case in cell.cases:
            attend(case.strategy)
            try:
                contestants[case.strategy] = enter(case, bench, attend)
            except (Exception, SystemExit) as error:
                yield _row(case.record(*failure(error)))
        if contestants:
            yield from _compete(cell, contestants, bench, clock_for(cell.device), settings, attend)


def _compete(
    cell: Cell, contestants: dict[str, Contestant], bench: Bench, clock: Clock, settings: Settings, attend: Attend
) -> Generator[Outcome, None, None]:
    f, x = bench.instance.f, bench.instance.x
    works: dict[str, Work] = {F: lambda: f(x)}
    works |= {name: contestant.work for name, contestant in contestants.items()}
    session = uuid.uuid4().hex[:8]
    series = sample(works, clock, settings, random.Random(f"{cell.seed} {cell.key}"), F, attend)
    yield Outcome(Case(cell, F).key, None, _raw(series[F], session))
    verdicts = {name: verdict(contestant.errors, bench) for name, contestant in contestants.items()}
    right = [name for name in contestants if verdicts[name][0] == "ok" and not series[name].error]
    fastest = min(right, key=lambda name: series[name].summary.median, default=None)
    for name, contestant in contestants.items():
        error = series[name].error
        if error is not None:
            yield _row(contestant.case.record(*failure(error)))
            continue
        measured = {
            **_times(series[name]),
            **_ratios("cost_ratio", series[name], series[F]),
            **(_ratios("over_fastest", series[name], series[fastest]) if fastest else {}),
            "f_median_s": series[F].summary.median if series[F].seconds else None,
            "prepare_s": contestant.prepare_s,
            "reference": bench.reference.source,
            **asdict(contestant.counts),
            **{key: value for key, value in asdict(contestant.errors).items() if key in COLUMNS},
        }
        status, reason = verdicts[name]
        record = contestant.case.record(status, reason, **measured)
        yield Outcome(record.case, record, _raw(series[name], session))


def _times(series: Series) -> dict[str, Any]:
    times = series.summary
    return {
        "median_s": times.median,
        "q1_s": times.q1,
        "q3_s": times.q3,
        "min_s": times.minimum,
        "ci_low_s": times.low,
        "ci_high_s": times.high,
        "samples": times.samples,
        "stop_reason": series.stop_reason,
    }


def _ratios(name: str, numerator: Series, denominator: Series) -> dict[str, Any]:
    """The ratio by round and its interval, as the columns `name`, `name`_low, `name`_high."""
    found = ratio(numerator.seconds, denominator.seconds)
    return {name: found.median, f"{name}_low": found.low, f"{name}_high": found.high} if found else {}


def _reason_to_skip(cell: Cell) -> str | None:
    """Why the cell cannot be tried here, known before anything of the user's runs."""
    problem = find_problem(cell.problem)
    if reason := missing_device(cell.device):
        return reason
    if reason := problem.refuse(cell.n):
        return f"{problem.name} cannot have n = {cell.n}: {reason}"
    return None


@contextmanager
def surroundings(cell: Cell) -> Iterator[None]:
    """Threads as the cell says, gradients tracked only where it trains; what was before comes back."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(cell.threads)
    try:
        with torch.set_grad_enabled(cell.workload == "train"):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)


def set_up(cell: Cell) -> Bench:
    """The instance of a cell and its reference, f evaluated once.

    Raises:
        JacstratError, or whatever f raises: The cell cannot be measured.
    """
    instance = find_problem(cell.problem).instance(cell.n, cell.batch, DTYPES[cell.dtype], cell.device, cell.seed)
    train = cell.workload == "train"
    if train and not instance.parameters:
        raise UnsupportedError("it has no parameters to train")
    checked(instance.f, cell.operator)(instance.x)
    bench = Bench(instance, instance.reference(cell.operator), cell.operator, train)
    bench.generator.manual_seed(cell.seed)
    return bench


def enter(case: Case, bench: Bench, attend: Attend) -> Contestant:
    """Prepare a strategy, run it once, compare the result with the reference, and count what a call does."""
    f, x = bench.instance.f, bench.instance.x
    begin = time.perf_counter()
    evaluate = bench.prepare(case.strategy, f)
    result = evaluate(x)
    if x.device.type != "cpu":
        torch.accelerator.synchronize(x.device)
    prepare_s = time.perf_counter() - begin

    reference, operator = bench.reference, bench.operator
    error = errors(result, reference.value(operator), reference.scale(operator))

    def counted(g: Callable[[Tensor], Tensor]) -> Work:
        work = bench.work(evaluate if g is f else bench.prepare(case.strategy, g))
        work()
        return work

    attend(case.strategy)
    return Contestant(case, bench.work(evaluate), prepare_s, error, count(counted, f, x))


def verdict(found: Errors, bench: Bench) -> tuple[Status, str]:
    """ok or wrong, and why."""
    if not np.isfinite(bench.reference.diagonal).all():
        return "wrong", "the reference is not finite: is x in the domain of f?"
    if found.within:
        return "ok", ""
    if not found.finite:
        return "wrong", "the result is not finite"
    dtype = bench.instance.x.dtype
    tolerance = f"{TOLERANCE[dtype]:g} of {str(dtype).removeprefix('torch.')}"
    return "wrong", f"relative error {found.rel_error:.2g} is beyond the tolerance {tolerance}"


def failure(error: BaseException) -> tuple[Status, str]:
    """The status of an exception, and its message on one line."""
    text = " ".join(str(error).split()) or "no message"
    if isinstance(error, UnsupportedError):
        return "unsupported", text
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        return "oom", text
    if isinstance(error, RuntimeError) and "not implemented for '" in text:
        return "unsupported", text
    return "error", text if isinstance(error, JacstratError) else f"{type(error).__name__}: {text}"


def _row(record: Record) -> Outcome:
    return Outcome(record.case, record, None)


def _raw(series: Series, session: str) -> dict[str, Any]:
    return {
        "session": session,
        "calls": series.calls,
        "rounds": list(series.seconds),
        "seconds": list(series.seconds.values()),
        "host_s": list(series.host_s.values()),
        "stop_reason": series.stop_reason,
    }
