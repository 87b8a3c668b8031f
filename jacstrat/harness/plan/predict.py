"""What a case would take, found without data: on the meta device tensors have shapes and no numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jacstrat.available import available_bytes
from jacstrat.core.case import Case, F
from jacstrat.core.errors import UnsupportedError
from jacstrat.core.modelled import ModelledDevice, modelling
from jacstrat.core.status import Cause, Status
from jacstrat.harness.cell.failures import failure
from jacstrat.harness.cell.messages import case_of, check, checked_cause
from jacstrat.harness.cell.setup import Attend, instantiate, one_call, reason_to_skip
from jacstrat.harness.cell.surroundings import surroundings
from jacstrat.harness.dispatch.child import ChildLimits
from jacstrat.harness.dispatch.children import Children
from jacstrat.harness.dispatch.isolation import isolated
from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.precision import DTYPES
from jacstrat.measure.counters import OperationCounter
from jacstrat.measure.memory import StorageMode
from jacstrat.problems.base import Instance
from jacstrat.report.analysis.units import format_bytes
from jacstrat.strategies import parse_strategy
from jacstrat.strategies.checked import checked
from jacstrat.zeros import called, tensors_in

# An operation costs 0.05 to 0.1 ms on the meta device, whatever its size, so this is three to five seconds. A count and
# not a time: the same case gives the same prediction on every machine.
MAX_OPS = 50_000

# A case might not fit once so many arrays of B n max(n, WIDE) numbers would not: more than f and a strategy keep alive.
ALIVE, WIDE = 64, 256
# What every accelerator has; how much of it is free only a child may ask.
ACCELERATOR_BYTES = 4 * 2**30


@dataclass(frozen=True)
class Prediction:
    """What one call of a case takes, as `measure.counters.count` would find it.

    Fields:
        peak_bytes: Tensor storage alive at the peak, above what was resident; None where there is no prediction.
        flops: None where the call was not followed to its end; peak_bytes is then a lower bound.
        aten_ops: None where flops is. A few per cent above the measured figure in forward mode.
        reason: Why there is no prediction, or a bound only.
    """

    peak_bytes: int | None = None
    flops: int | None = None
    aten_ops: int | None = None
    reason: str = ""

    @property
    def is_bound(self) -> bool:
        """Whether peak_bytes is that of the first MAX_OPS operations only."""
        return self.peak_bytes is not None and self.flops is None


class Forecast(NamedTuple):
    """The prediction of a case and what follows from it.

    Fields:
        skip: Why the case is not to be tried; "" where it is.
        cause: Of the row of such a case.
        death: How the child that made the prediction ended, where the case was the cause.
    """

    case: Case
    prediction: Prediction
    skip: str = ""
    cause: Cause = ""
    death: Status | None = None

    @property
    def settles(self) -> str:
        """The strategy, for `harness.dispatch.isolation`."""
        return self.case.strategy

    def to_data(self) -> dict[str, Any]:
        """The forecast as plain JSON."""
        return {"case": self.case.key, **asdict(self.prediction), "skip": self.skip, "cause": self.cause}

    @classmethod
    def parse(cls, cell: Cell, data: Any) -> Forecast:
        """The forecast of one of the cell's cases that is in what `to_data` gave.

        Raises:
            ValueError, KeyError, TypeError: It is none.
        """
        counts = {name: data[name] for name in ("peak_bytes", "flops", "aten_ops")}
        for count in counts.values():
            if count is not None:
                check(count, int)
        prediction = Prediction(**counts, reason=check(data["reason"], str))
        return cls(case_of(cell, data["case"]), prediction, check(data["skip"], str), checked_cause(data["cause"]))


def predict(case: Case) -> Prediction:
    """What one call of the case takes, in this process.

    The case is prepared and called once on the meta device, with its n, batch, dtype and workload; operations cost the
    same there at every size, so a batched strategy is followed exactly in milliseconds. A loop of n products has n
    times the operations: after MAX_OPS of them the peak so far, a lower bound, is the prediction.

    Returns:
        A Prediction; without peak_bytes, and with the reason, where f or the strategy raises, depends on values, or
        computes with CPU tensors of its own. Whatever the case does is no exception, KeyboardInterrupt apart.
    """
    free = None if case.device == "cpu" else free_bytes(case.device)
    ((_, prediction),) = _predictions(Cell.of(case), lambda name: None, free)
    return prediction


def forecasts(
    cell: Cell, memory_bytes: int | None, attend: Attend = lambda name: None
) -> Generator[Forecast, None, None]:
    """The forecast of every case of the cell, in this process.

    Args:
        cell: What to predict.
        memory_bytes: Memory that a case may take; None for what is free on the cell's device, which must be here.
        attend: Told the strategy (or "f") whose code is about to run.
    """
    attend(F)
    if reason := reason_to_skip(cell, here=memory_bytes is None):
        yield from (Forecast(case, Prediction(), reason) for case in cell.cases)
        return
    if memory_bytes is None:
        memory_bytes = free_bytes(cell.device)
    for case, prediction in _predictions(cell, attend, memory_bytes):
        missing, large = parse_strategy(case.strategy).missing, beyond(prediction, memory_bytes)
        yield Forecast(case, prediction, missing or large, "memory" if large and not missing else "")


def forecasts_isolated(
    cell: Cell,
    memory_bytes: int | None,
    timeout_s: float,
    attend: Attend = lambda name: None,
    children: Children | None = None,
) -> Generator[Forecast, None, None]:
    """`forecasts` in a child that may die: what hangs or crashes it has no prediction.

    Args:
        timeout_s: Seconds that one prediction may take; the rest as in `forecasts`.
        children: As in `isolated`.
    """
    # Not the limit of the case: a prediction needs the points and the parameters, drawn on the CPU, and no more.
    limits = ChildLimits(timeout_s, available_bytes() * 4 // 5)

    def died(case: Case, status: Status, reason: str) -> Forecast:
        return Forecast(case, Prediction(reason=reason), death=status)

    work = partial(forecasts, memory_bytes=memory_bytes)
    yield from isolated(work, Forecast.parse, died, cell, limits, attend, children)


def might_not_fit(cell: Cell, memory_bytes: int) -> bool:
    """Whether the cell is large enough to be worth a prediction: cheap, generous, and blind to what f does.

    A function much wider or deeper than it has inputs can escape it; its cases are tried and end as `oom`.

    Args:
        cell: What is about to be measured.
        memory_bytes: Memory that a case may take on the CPU.
    """
    memory_bytes = memory_bytes if cell.device == "cpu" else ACCELERATOR_BYTES
    numbers = ALIVE * cell.batch * cell.n * max(cell.n, WIDE)
    return numbers * DTYPES[cell.dtype].itemsize > memory_bytes


def beyond(prediction: Prediction, memory_bytes: int | None) -> str:
    """Why the case cannot fit into the memory; "" where it can, or where nothing is known of one of the two."""
    peak = prediction.peak_bytes
    if peak is None or memory_bytes is None or peak <= memory_bytes:
        return ""
    least = "at least " if prediction.is_bound else ""
    return f"predicted peak of {least}{format_bytes(peak)} is beyond the {format_bytes(memory_bytes)} available"


def free_bytes(device: str) -> int | None:
    """Memory that an accelerator has free; None where it does not say."""
    try:
        return int(torch.accelerator.get_memory_info(device)[0])
    except (RuntimeError, NotImplementedError, AttributeError):
        return None


def _predictions(
    cell: Cell, attend: Attend, memory_bytes: int | None
) -> Generator[tuple[Case, Prediction], None, None]:
    """The prediction of every case of the cell; f is evaluated once before, so that its faults are its own.

    Points are taken in as many tiles as on the cell's device, which has so much memory free.
    """
    on_meta = replace(cell, device="meta")
    modelled = ModelledDevice(torch.device(cell.device).type, memory_bytes)
    with surroundings(on_meta):
        try:
            instance = instantiate(cell, on_meta.device)
            operator = instance.operator(cell.operator)
            _followed(lambda: checked(instance.f, operator)(instance.x, *instance.args))
            fault = ""
        except (Exception, SystemExit) as error:
            fault = f"f itself: {_reason(error)}"
    for case in cell.cases:
        if fault:
            yield case, Prediction(reason=fault)
            continue
        attend(case.strategy)
        with surroundings(on_meta), modelling(modelled):
            prediction = _prediction(case, instance)
        yield case, prediction


def _prediction(case: Case, instance: Instance) -> Prediction:
    generator = torch.Generator().manual_seed(case.seed)
    try:
        operator, args = instance.operator(case.operator), instance.args
        evaluate = parse_strategy(case.strategy).counted.prepare(operator, instance.f, instance.x, generator, args=args)
        return _followed(one_call(evaluate, instance, case.workload == "train"))
    except (Exception, SystemExit) as error:
        return Prediction(reason=_reason(error))


def _followed(work: Callable[[], object]) -> Prediction:
    """What the work takes, until its end or MAX_OPS."""
    with _Meter() as meter:
        try:
            work()
        except _TooLongError:
            return Prediction(meter.peak_bytes, reason=f"not followed beyond {MAX_OPS} operations")
    return Prediction(meter.peak_bytes, meter.counter.flops, meter.operations)


def _reason(error: BaseException) -> str:
    return textwrap.shorten(failure(error)[1], 200, placeholder=" ...")


class _TooLongError(BaseException):
    """Ends work that has had MAX_OPS operations; no Exception, so that no handler of f's keeps it."""


class _Meter(StorageMode):
    """StorageMode for the meta device: counts operations, ends after MAX_OPS, and counts no helper that only finds the
    shape of a result, which forward mode makes with `prims` on the meta device wherever it runs."""

    def __init__(self) -> None:
        super().__init__("meta")
        self.operations = 0
        self.counter = OperationCounter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        if self.operations > MAX_OPS:
            raise _TooLongError
        taken = tensors_in(args, kwargs)
        if func is not torch.ops.aten.copy_.default:
            _refuse_strays(taken)
        for tensor in taken:
            self._note(tensor, is_output=False)
        out = called(func, args, kwargs)
        for tensor in tensors_in(out):
            self._note(tensor, is_output=func.namespace != "prims")
        self.counter.note(func, args, kwargs, out)
        return out


def _refuse_strays(taken: list[Tensor]) -> None:
    """Refuse an operation on meta and CPU tensors: some do it and give a CPU result, others raise.

    A tensor without an axis stands for a number, which every device takes.
    """
    strays = [tensor for tensor in taken if not tensor.is_meta and tensor.dim() > 0]
    if strays and any(tensor.is_meta for tensor in taken):
        raise UnsupportedError(
            f"f computes with a {strays[0].device.type} tensor of its own, of shape {tuple(strays[0].shape)}; "
            "make it on the device of x, or a parameter of a Problem"
        )
