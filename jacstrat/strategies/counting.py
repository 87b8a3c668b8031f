"""What a product costs before anything is timed: operations, FLOPs and bytes, counted on one point.

f is row-wise: one point takes the operations of the whole batch, and 1/B of its FLOPs and bytes. So a count takes
the time of a few operations, whatever B and n are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import flop_registry

from jacstrat.strategies.base import Function, Operator
from jacstrat.strategies.probes import unit_vectors
from jacstrat.strategies.probing import field_of
from jacstrat.strategies.products import Apply, curvature, jvp, reverse, reverse_gradient, vjp


@dataclass(frozen=True)
class Work:
    """Operations dispatched, floating-point operations of matrix products, bytes written by operations."""

    ops: float = 0
    flops: float = 0
    bytes: float = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.ops + other.ops, self.flops + other.flops, self.bytes + other.bytes)

    def __sub__(self, other: Work) -> Work:
        return self + other.times(-1, -1)

    def times(self, ops: float, rows: float) -> Work:
        """So many times the operations, each on so many times the rows."""
        return Work(ops * self.ops, rows * self.flops, rows * self.bytes)


@dataclass(frozen=True)
class ProductCost:
    """What products through f cost, for one point.

    Fields:
        once: To linearise f, before any product.
        call: Of each call, whatever number of probes it takes; all its operations stand here.
        probe: Of each probe in a call, in FLOPs and bytes alone.
        log: The operations of one call in their order, with shapes, dtypes and constants; the same where f does the
            same work.
    """

    once: Work
    call: Work
    probe: Work
    log: str = field(default="", repr=False)

    def total(self, probes: int, chunk: int, points: int) -> Work:
        """All products with `probes` probes, `chunk` a call, at so many points."""
        calls = -(-probes // chunk)
        return (
            self.once.times(1, points) + self.call.times(calls, calls * points) + self.probe.times(0, probes * points)
        )

    def alive(self, chunk: int, points: int) -> float:
        """Bytes that one call with `chunk` probes may hold: all that it writes, an upper bound."""
        return points * (self.once.bytes + self.call.bytes + chunk * self.probe.bytes)


@dataclass(frozen=True)
class Product:
    """A way to multiply by the Jacobian.

    Fields:
        linearise: (operator, f, x) -> apply, a product of `products`.
        repeats: Every call evaluates the points again, whatever number of probes it takes.
        batched: Probes go through torch.func.vmap.
        scalar: Only a scalar has it.
    """

    linearise: Callable[[Operator, Function, Tensor], Apply]
    repeats: bool = False
    batched: bool = True
    scalar: bool = False

    def serves(self, operator: Operator) -> bool:
        """Whether the operator can be had from it, whatever f is."""
        return operator == "laplacian" or not self.scalar


PRODUCTS: Mapping[str, Product] = MappingProxyType(
    {
        "reverse": Product(lambda o, f, x: reverse(field_of(o, f, reverse_gradient), x), batched=False),
        "vjp": Product(lambda o, f, x: vjp(field_of(o, f), x)),
        "jvp": Product(lambda o, f, x: jvp(field_of(o, f), x), repeats=True),
        "curvature": Product(lambda o, f, x: curvature(f, x), repeats=True, scalar=True),
    }
)


def product_cost(product: Product, operator: Operator, f: Function, points: Tensor) -> ProductCost:
    """What a product costs for one point, from a call of it at a few: one where f takes one.

    Raises:
        Whatever f or the transform raises: then the product cannot serve f.
    """
    x = points.detach()
    if points.requires_grad and torch._C._functorch.peek_interpreter_stack() is None:
        x.requires_grad_()
    probes = min(2, x.shape[-1]) if product.batched else 1
    V = unit_vectors(x, 0, probes)
    with _Counter() as once:
        apply = product.linearise(operator, f, x)
    with _Counter() as called:
        _ = torch.func.vmap(apply)(V) if probes > 1 else apply(V[0])
    probe = called.work.times(0, 1 / probes)
    repeated = Work()
    if product.repeats and probes > 1:
        # One probe takes a + b, two take a + 2 b. Without vmap, one takes more than that: forward mode lays out a
        # tangent anew, and the difference would be negative.
        with _Counter() as single:
            torch.func.vmap(apply)(V[:1])
        probe = (called.work - single.work).times(0, 1)
        repeated = single.work - probe
    each = 1 / max(x.shape[:-1].numel(), 1)
    call = Work(called.work.ops, repeated.flops * each, repeated.bytes * each)
    return ProductCost(once.work.times(1, each), call, probe.times(0, each), "\n".join(once.log + called.log))


def evaluation(f: Function, points: Tensor) -> Work:
    """What f itself costs for one point, from a call of it at a few."""
    with torch.no_grad(), _Counter() as counter:
        f(points.detach())
    return counter.work.times(1, 1 / max(points.shape[:-1].numel(), 1))


def looks_dense(product: Product, operator: Operator, f: Function, x: Tensor) -> bool:
    """Whether a few rows of J at one point have no zero: then a trace would hardly find any structure.

    A guess that saves a trace, which takes as long as hundreds of calls of a small network, and decides nothing else.
    """
    point = x.detach()[:1] if x.dim() == 2 else x.detach()
    apply = product.linearise(operator, f, point)
    n = x.shape[-1]
    V = torch.zeros(3, n, dtype=x.dtype, device=x.device)
    V[[0, 1, 2], [0, n // 2, n - 1]] = 1
    rows = [apply(v) for v in V]
    return bool((torch.stack(rows) != 0).all())


class _Counter(TorchDispatchMode):
    """Counts what reaches dispatch. FlopCounterMode of torch hooks modules, and refuses those that require grad."""

    def __init__(self) -> None:
        super().__init__()
        self.work = Work()
        self.log: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        flops = formula(*args, **(kwargs or {}), out_val=out) if formula else 0
        written = 0 if func.is_view else sum(t.numel() * t.itemsize for t in tree_leaves(out) if isinstance(t, Tensor))
        self.work += Work(1, flops, written)
        self.log.append(f"{func} {tree_map_only(Tensor, _kind, (args, kwargs))}")
        return out


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {tensor.dtype}"
