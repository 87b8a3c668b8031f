"""What a product costs before anything is timed: operations, FLOPs and bytes, in multiples of those of f.

f is counted at one point: row-wise as it is, that takes the operations of the whole batch, and 1/B of its FLOPs and
bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import gcd
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import flop_registry

from jacstrat.core.operator import Operator
from jacstrat.strategies.products import reverse, reverse_gradient
from jacstrat.trace.arguments import Args, Function, taken
from jacstrat.trace.fake import fake_mode
from jacstrat.trace.operations import AtenKind, is_pointwise, operation_of
from jacstrat.trace.quiet import quiet


@dataclass(frozen=True)
class OpCounts:
    """Operations dispatched, floating-point operations of matrix products, bytes written by operations.

    Fields:
        fold: Multiplications to contract the matrices of these products for one point, (p, q) each, with one another:
            p q min(p, q). Where entries of a point share their weights that is far more than the weights are.
        blocks: Parts of a point that all products take by the same weights and no operation mixes: so many blocks their
            matrices have, all alike. 1 where parts are mixed, 0 where there is no product.
    """

    ops: float = 0
    flops: float = 0
    bytes: float = 0
    fold: float = 0
    blocks: int = 0

    def __add__(self, other: OpCounts) -> OpCounts:
        fold, blocks = self.fold + other.fold, gcd(self.blocks, other.blocks)
        return OpCounts(self.ops + other.ops, self.flops + other.flops, self.bytes + other.bytes, fold, blocks)

    def __sub__(self, other: OpCounts) -> OpCounts:
        return self + other.times(-1, -1)

    def times(self, ops: float, rows: float) -> OpCounts:
        """So many times the operations, each on so many times the rows."""
        return OpCounts(ops * self.ops, rows * self.flops, rows * self.bytes, ops * self.fold, self.blocks)


@dataclass(frozen=True)
class ProductCost:
    """What products through f cost, for one point.

    Fields:
        once: To linearise f, before any product.
        call: Of each call, whatever number of probes it takes; all its operations stand here.
        probe: Of each probe in a call, in FLOPs and bytes alone.
    """

    once: OpCounts
    call: OpCounts
    probe: OpCounts

    def total(self, probes: int, chunk: int, points: int) -> OpCounts:
        """All products with `probes` probes, `chunk` a call, at so many points."""
        calls = -(-probes // chunk)
        return (
            self.once.times(1, points) + self.call.times(calls, calls * points) + self.probe.times(0, probes * points)
        )

    def alive(self, chunk: int, points: int) -> float:
        """Bytes that one call with `chunk` probes may hold: all that it writes, an upper bound."""
        return points * (self.once.bytes + self.call.bytes + chunk * self.probe.bytes)


# What a product costs in multiples of what f costs, for one point: operations to linearise f, operations of a call, and
# FLOPs and bytes of linearising, of a call whatever number of probes it takes, and of each probe. Medians over the
# problem library, n = 4 and 16, counted; FLOPs by what reverse and forward mode do with a product of matrices.
@dataclass(frozen=True)
class Multiples:
    """One row of the table, see above."""

    once_ops: float
    call_ops: float
    flops: tuple[float, float, float]
    bytes: tuple[float, float, float]


FIRST: Mapping[str, Multiples] = MappingProxyType(
    {
        "reverse": Multiples(1.0, 1.4, (1, 0, 1), (1, 0, 1.4)),
        "vjp": Multiples(1.0, 1.8, (1, 0, 1), (1, 0, 1.6)),
        "jvp": Multiples(0.0, 5.0, (0, 1, 1), (0, 1.9, 1.6)),
    }
)
SECOND: Mapping[str, Multiples] = MappingProxyType(
    {
        "reverse": Multiples(3.0, 3.6, (2, 0, 2), (3.3, 0, 5.2)),
        "vjp": Multiples(2.8, 3.8, (2, 0, 2), (3.3, 0, 5.3)),
        "jvp": Multiples(0.0, 14.6, (0, 2, 2), (0, 8.6, 7.2)),
    }
)


@dataclass(frozen=True)
class Evaluation:
    """What f costs for one point.

    Fields:
        work: The cost.
        log: Its operations in their order, with shapes, dtypes and constants; the same where f does the same work.
    """

    work: OpCounts
    log: str = field(default="", repr=False)


# What is assumed of a function whose operations cannot be counted.
UNKNOWN = Evaluation(OpCounts(ops=20))


def evaluation(f: Function, points: Tensor, args: Args = ()) -> Evaluation:
    """What f costs for one point, from a call of it at a few of them that have shapes and no numbers.

    No kernel runs under the mode that counts: forward mode's efficient zeros, of which f may make some, have no memory
    that one could read.

    Raises:
        Whatever f raises where it looks at numbers, and whatever torch raises about shapes that depend on them.
    """
    with quiet(), torch.no_grad(), fake_mode():
        x = torch.empty(points.shape, dtype=points.dtype, device=points.device)
        fakes = [_like(arg) if isinstance(arg, Tensor) else arg for arg in args]
        rows = max(points.shape[:-1].numel(), 1)
        with _Counter(rows) as counter:
            f(x, *fakes)
    return Evaluation(counter.work.times(1, 1 / rows), "\n".join(counter.log))


def product_costs(operator: Operator, f: OpCounts) -> Mapping[str, ProductCost]:
    """What each product costs for one point where f costs so much."""

    def cost(m: Multiples) -> ProductCost:
        once, call, probe = (OpCounts(0, F * f.flops, b * f.bytes) for F, b in zip(m.flops, m.bytes, strict=True))
        return ProductCost(once + OpCounts(m.once_ops * f.ops), call + OpCounts(m.call_ops * f.ops), probe)

    return {name: cost(m) for name, m in (FIRST if operator.order == 1 else SECOND).items()}


def looks_like(operator: Operator, f: Function, x: Tensor, args: Args = ()) -> Literal["dense", "sparse", "diagonal"]:
    """What a few rows of J at one point look like: without zeros, with some, or with zeros off the diagonal alone.

    A guess that saves a trace, which takes as long as hundreds of calls of a small network, and decides nothing else.
    By plain reverse mode.
    """
    point = x.detach()[:1] if x.dim() == 2 else x.detach()
    point_args = taken(x, args, slice(1)) if x.dim() == 2 else args
    apply = reverse(operator.field(f, reverse_gradient), point, *point_args)
    n = x.shape[-1]
    V = torch.zeros(3, n, dtype=x.dtype, device=x.device)
    V[[0, 1, 2], [0, n // 2, n - 1]] = 1
    with torch.no_grad():
        rows = torch.stack([apply(v).view(n) for v in V]) != 0
        if bool(rows.all()):
            return "dense"
        return "sparse" if bool((rows & (V == 0)).any()) else "diagonal"


class _Counter(TorchDispatchMode):
    """Counts what reaches dispatch. FlopCounterMode of torch hooks modules, and refuses those that require grad."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows, self.work = rows, OpCounts()
        self.log: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.namespace == "prim":  # a question, such as for the device
            return out
        formula = flop_registry.get(func._overloadpacket)
        flops = formula(*args, **(kwargs or {}), out_val=out) if formula else 0
        written = 0 if func.is_view else sum(t.numel() * t.itemsize for t in tree_leaves(out) if isinstance(t, Tensor))
        self.work += OpCounts(1, flops, written, self._fold(flops, out) if flops else 0, self._blocks(func, args, out))
        self.log.append(f"{func} {tree_map_only(Tensor, _kind, (args, kwargs))}")
        return out

    def _fold(self, flops: float, out: Tensor) -> float:
        """Of a product of matrices, (M, K) by (K, N): p = M N and q = M K, each for one point."""
        p, flops_of_row = out.numel() / self.rows, flops / max(out.numel(), 1)
        q = p / max(out.shape[-1], 1) * flops_of_row / 2 if out.dim() else 0
        return float(p * q * min(p, q))

    def _blocks(self, func: Any, args: Any, out: Any) -> int:
        """Parts of a point that an operation does not mix, as `OpCounts.blocks`."""
        operation = operation_of(func)
        if operation is not None and operation.kind is AtenKind.CONTRACTS and operation.factors[-1].rank == 2:
            return int(out.numel() // (self.rows * max(out.shape[-1], 1)))
        if is_pointwise(func):
            # What is broadcast may be another number in each part, but for one number.
            tensors = [arg for arg in tree_leaves(args) if isinstance(arg, Tensor) and arg.numel() != 1]
            return 0 if all(arg.shape == out.shape for arg in tensors) else 1
        is_in_order = operation is not None and operation.kind is AtenKind.RESHAPES
        return 0 if is_in_order or func._schema.name in _IN_ORDER else 1


# Axes of length 1 that come and go, and weights that are turned.
_IN_ORDER = frozenset(("aten::unsqueeze", "aten::squeeze", "aten::t", "aten::detach"))


def _like(arg: Tensor) -> Tensor:
    return torch.empty(arg.shape, dtype=arg.dtype, device=arg.device)


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {tensor.dtype}"
