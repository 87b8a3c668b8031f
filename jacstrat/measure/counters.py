"""Counts beside seconds: products, evaluations, operations and FLOPs, the same on every machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd import Function
from torch.fx.experimental.proxy_tensor import get_proxy_mode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from jacstrat.measure.memory import STORED, StorageMode, peak_bytes
from jacstrat.zeros import called


@dataclass(frozen=True)
class Counts:
    """What one call did; None where it was not seen, as in another process.

    Fields:
        vjp_products, jvp_products, f_evaluations: Passes through f, per point.
        aten_ops: Operations that reached dispatch, views included; None where kernels are called past it.
        flops: Of matrix products and convolutions, as torch.utils.flop_counter has them; 0 for elementwise work.
        peak_bytes: See `memory.peak_bytes`; None where storage is made past dispatch.
        moved_bytes: Read and written by operations, views apart; None where kernels are called past dispatch.
    """

    vjp_products: int | None = None
    jvp_products: int | None = None
    f_evaluations: int | None = None
    aten_ops: int | None = None
    flops: int | None = None
    peak_bytes: int | None = None
    moved_bytes: int | None = None


@dataclass
class Tally:
    """Rows that passed through a tapped function: forward, backward ("vjp") and with a tangent ("jvp")."""

    rows: dict[str, int] = field(default_factory=lambda: {"evaluation": 0, "vjp": 0, "jvp": 0})


def tapped(f: Callable[..., Tensor], tally: Tally) -> Callable[..., Tensor]:
    """f, called as f(x, *args), with each evaluation of it and each product through it counted in rows.

    A strategy that traces f when preparing, or records it on tensors without numbers, sees f itself: a trace is no
    evaluation, and the tap no part of f. What is then done with the trace is no pass through f.
    """

    def function(x: Tensor, *args: Any) -> Tensor:
        return f(x if get_proxy_mode() or isinstance(x, FakeTensor) else _Tap.apply(x, tally), *args)

    return function


def count(make: Callable[[Callable[..., Tensor]], Callable[[], object]], f: Any, x: Tensor) -> Counts:
    """What one call costs.

    Args:
        make: From a function (f itself or f tapped) to the work to count, ready to call: prepared, and run once, so
            that what happens only the first time is not counted.
        f: Row-wise function.
        x: The points that the work is about, (B, n) or (n,).
    """
    tally = Tally()
    work = make(tapped(f, tally))
    tally.rows.update(dict.fromkeys(tally.rows, 0))
    work()
    rows = {name: total // max(_rows(x), 1) for name, total in tally.rows.items()}

    operations, peak = _cost(make(f), x.device.type)
    return Counts(
        vjp_products=rows["vjp"],
        jvp_products=rows["jvp"],
        f_evaluations=rows["evaluation"],
        aten_ops=operations.total,
        flops=operations.flops,
        peak_bytes=peak,
        moved_bytes=operations.moved_bytes,
    )


def _cost(work: Callable[[], object], device: str) -> tuple[OperationCounter, int]:
    """Operations, FLOPs and peak bytes of one call: a mode holds on to nothing that the work lets go of."""
    operations = OperationCounter(moves=True)
    if device in STORED:
        with _Cost(operations, device) as mode:
            work()
        return operations, mode.peak_bytes

    def counted() -> object:
        with operations:
            return work()

    return operations, peak_bytes(counted, device)


class OperationCounter(TorchDispatchMode):
    """Counts operations that reach dispatch, and FLOPs by the formulas of torch.utils.flop_counter.

    FlopCounterMode itself also tracks modules, by hooks on gradients that torch.autograd.grad refuses: with it no
    nn.Module whose parameters require grad could be counted.

    Args:
        moves: Whether bytes are counted, too: those of the tensors that an operation is given and gives, unless it only
            looks at them otherwise. What is expanded counts as much as there is of it in memory.
    """

    def __init__(self, moves: bool = False) -> None:
        super().__init__()
        self.total = 0
        self.flops = 0
        self.moved_bytes = 0
        self._moves = moves

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = called(func, args, kwargs)
        self.note(func, args, kwargs, out)
        return out

    def note(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        """Count an operation that has been done."""
        self.total += 1
        if formula := flop_registry.get(func._overloadpacket):
            self.flops += formula(*args, **(kwargs or {}), out_val=out)
        if self._moves and not func.is_view:
            self.moved_bytes += sum(map(_size, tree_leaves((args, kwargs, out))))


class _Cost(StorageMode):
    """StorageMode that counts operations, too: a second mode would take each of them as long again."""

    def __init__(self, operations: OperationCounter, device: str) -> None:
        super().__init__(device)
        self._operations = operations

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = super().__torch_dispatch__(func, types, args, kwargs)
        self._operations.note(func, args, kwargs, out)
        return out


def _size(leaf: object) -> int:
    """Bytes of a tensor that an operation goes through; of one without numbers, or in another layout, none."""
    if not isinstance(leaf, Tensor) or leaf.layout is not torch.strided or leaf._is_zerotensor():
        return 0
    return min(leaf.numel() * leaf.itemsize, leaf.untyped_storage().nbytes())


def _rows(x: Tensor) -> int:
    return x.shape[:-1].numel()


class _Tap(Function):
    """The identity, placed in front of f: whatever passes through f passes here, in either direction.

    Under vmap the batch is moved into the leading axes, so that rows count every probe and every point.
    """

    @staticmethod
    def forward(x: Tensor, tally: Tally) -> Tensor:
        tally.rows["evaluation"] += _rows(x)
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.tally = inputs[1]

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> Any:
        return _Mark.apply(cotangent, ctx.tally, "vjp"), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Any:
        return _Mark.apply(tangent, ctx.tally, "jvp")

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, tally: Tally) -> Any:
        return _Tap.apply(x.movedim(in_dims[0], 0), tally), 0


class _Mark(Function):
    """The identity on a cotangent or tangent, counting its rows. Its own derivatives are not counted."""

    @staticmethod
    def forward(g: Tensor, tally: Tally, name: str) -> Tensor:
        tally.rows[name] += _rows(g)
        return g.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> Any:
        return cotangent, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Any:
        return tangent.clone()

    @staticmethod
    def vmap(info: Any, in_dims: Any, g: Tensor, tally: Tally, name: str) -> Any:
        return _Mark.apply(g.movedim(in_dims[0], 0), tally, name), 0
