"""What `auto` chooses among: exact strategies with the products they take, and the time predicted from counts.

    time = operations x overhead + FLOPs / rate + bytes written / rate

The overhead depends on how the operations are dispatched, the rates on the device. The constants are those of one
machine and serve to rank: what is close is left to the trial.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from jacstrat.available import available_bytes
from jacstrat.core.errors import UnsupportedError
from jacstrat.core.operator import Operator
from jacstrat.strategies.base import Args, Contraction, Function, Strategy
from jacstrat.strategies.coloring import Coloring
from jacstrat.strategies.counting import ProductCost, Work
from jacstrat.strategies.dense import Jacfwd, Jacrev
from jacstrat.strategies.probing import Identity, Jvp, Ones, Vmap
from jacstrat.strategies.taylor import Taylor
from jacstrat.strategies.workload import Workload
from jacstrat.structure import Structure


class Rates(NamedTuple):
    """What a device does in a second: floating-point operations of matrix products, bytes written by operations."""

    flops: float
    bytes: float


# Fitted to the shipped reference run (results/reference): float64 on one core of the machine that it names.
CPU_THREAD = Rates(flops=30e9, bytes=4e9)
# The order of what data-centre cards publish, a tenth of their peak; nothing was fitted.
ACCELERATOR = Rates(flops=5e12, bytes=5e11)

# Bytes that the products of one call may write before probes are also tried in chunks: beyond the caches of a CPU.
CHUNK_BYTES = 64 * 2**20
# Share of the free memory that one call may fill by the bound of `ProductCost.alive`.
MEMORY_SHARE = 0.5


@dataclass(frozen=True)
class Candidate:
    """An exact strategy, and what it does for one operator.

    Fields:
        strategy: What would do the work.
        product: What it multiplies with, of `counting.FIRST`, or "taylor".
        probes: How many.
        chunk: How many a call.
        op_s: Overhead of one operation, seconds.
        stored: Numbers that it keeps for each point besides, such as the n^2 of a dense matrix.
        ground: Why it is exact for this function, where it is not always; "" where it is.
        structure: What `coloring` colours.
        setup_s: Time to prepare it, where that is far from nothing, predicted.
    """

    strategy: Strategy
    product: str
    probes: int
    chunk: int
    op_s: float
    stored: int = 0
    ground: str = ""
    structure: Structure | None = None
    setup_s: float = 0.0

    def build(self, operator: Operator, f: Function, x: Tensor, args: Args) -> Contraction:
        """What the strategy builds, without tracing again what was traced."""
        if self.structure is not None and isinstance(self.strategy, Coloring):
            # Colours that a trace has found are not found again.
            return self.strategy.along(self.structure, operator, f, x)
        built = self.strategy.contracted(operator, f, x, args, None)
        if isinstance(self.strategy, Taylor) and built.reason:
            raise UnsupportedError(built.reason)  # by products, as others are
        # A strategy that is right by a proof rests on it.
        return replace(built, is_traced=True) if self.ground else built

    def seconds(self, cost: ProductCost, x: Tensor) -> float:
        """The time of one call, predicted."""
        work = cost.total(self.probes, self.chunk, _points(x))
        rates = rates_of(x.device)
        stored = self.stored * _points(x) * x.itemsize
        return work.ops * self.op_s + work.flops / rates.flops + (work.bytes + stored) / rates.bytes

    def bytes(self, cost: ProductCost, x: Tensor) -> float:
        """Memory of one call, an upper bound."""
        return cost.alive(self.chunk, _points(x)) + self.stored * _points(x) * x.itemsize


class Row(NamedTuple):
    """A strategy in the table of those that are always exact.

    Fields:
        strategy, product, op_s, as in Candidate; op_s was found at small n, where nothing else counts.
        batched: All n probes in one call; else one a call.
        dense: It stores the n^2 entries of every point.
        first: It is no candidate for the Laplacian: what nests transforms in ways of its own is not tried unasked.
        tiled: It takes f apart and no more memory than it likes to; whether it can, its first call tells.
    """

    strategy: Strategy
    product: str
    op_s: float
    batched: bool = True
    dense: bool = False
    first: bool = False
    tiled: bool = False


def taylor_cost(f: Work) -> ProductCost:
    """What `taylor` costs for one point where f costs so much, n tangents as n probes.

    Of the scalars in the library, n and B as in the default sweep, the operations are 2.3 to 8.5 times those of f, but
    for a product of entries, which has no more than four, and the bytes 0.1 to 3 times n times those of f.
    """
    return ProductCost(Work(4.5 * f.ops + 4, 2 * f.flops, 4 * f.bytes), Work(), Work(0, f.flops, 1.5 * f.bytes))


# What a trace takes: for itself, and for each operation of f, on a core of the machine of the reference run.
TRACE_S, TRACE_OP_S = 2e-3, 0.7e-3

# Overheads by the reference run: median over n <= 8 of median_s / aten_ops, to the microsecond.
ALWAYS: tuple[Row, ...] = (
    Row(Identity(), "reverse", 4e-6, batched=False),
    Row(Vmap(), "vjp", 12e-6),
    Row(Jvp(chunk_size="all"), "jvp", 15e-6),
    Row(Jvp(), "jvp", 9e-6, batched=False),
    Row(Jacrev(), "vjp", 20e-6, dense=True, first=True),
    Row(Jacfwd(), "jvp", 21e-6, dense=True, first=True),
    Row(Taylor(), "taylor", 6e-6, tiled=True),
)
_CHUNKED: Mapping[str, type] = MappingProxyType({"vjp": Vmap, "jvp": Jvp})


def always_exact(
    operator: Operator, costs: Mapping[str, ProductCost], x: Tensor, tried: Workload | None, ops: float = 0
) -> Iterator[Candidate]:
    """Those of the table that serve the operator, by a product that serves f, and fit into free memory.

    Where all probes at once would take much, or too much, memory, the same strategy in chunks stands beside it, or in
    its place. What goes probe by probe is there in any case.

    Args:
        operator: What is wanted.
        costs: What each product costs, by name, without those that failed.
        x: The points.
        tried: What each is called with before it is chosen; None where none is.
        ops: Operations of f.
    """
    n = x.shape[-1]
    free = free_bytes(x.device)
    for row in ALWAYS:
        cost = costs.get(row.product)
        if row.strategy.refuse(operator) is not None or cost is None:
            continue
        if row.first and operator.order > 1:
            continue
        if row.tiled:
            if tried:
                # In training nobody knows how often it will be differentiated; compressed directions allow once.
                strategy = Taylor(compress=not tried.leaves)
                yield Candidate(strategy, row.product, n, n, row.op_s, setup_s=TRACE_S + TRACE_OP_S * ops)
            continue
        whole = Candidate(
            row.strategy, row.product, n, n if row.batched else 1, row.op_s, stored=n * n if row.dense else 0
        )
        if not row.batched or whole.bytes(cost, x) <= free:
            yield whole
        if row.batched and not row.dense and (size := _chunk(whole, cost, x, free)) < n:
            chunked = _CHUNKED[row.product](chunk_size=size)
            yield Candidate(chunked, row.product, n, size, row.op_s)


def on_structure(structure: Structure, x: Tensor) -> list[Candidate]:
    """Those that a pattern makes exact: one product for a diagonal one, one a colour for a sparse one."""
    colors, n, trust = structure.colors, x.shape[-1], structure.source == "sampled"
    if colors == n:
        return []
    ground = f"{structure.source} {structure.form}, {colors} product{'' if colors == 1 else 's'} instead of {n}"
    found = [
        Candidate(Coloring(trust=trust), "vjp", colors, colors, 12e-6, ground=ground, structure=structure),
        Candidate(
            Coloring(product="forward", trust=trust), "jvp", colors, colors, 15e-6, ground=ground, structure=structure
        ),
    ]
    return [Candidate(Ones(), "reverse", 1, 1, 4e-6, ground=ground), *found] if structure.kind == "diagonal" else found


def assumed_diagonal() -> Candidate:
    """The ones vector on the caller's word."""
    return Candidate(Ones(), "reverse", 1, 1, 4e-6, ground="assumed diagonal, 1 product")


def rates_of(device: torch.device) -> Rates:
    """Rates of a device; those of a CPU grow with the threads that torch computes with."""
    if device.type in ("cpu", "meta"):
        threads = torch.get_num_threads()
        return Rates(CPU_THREAD.flops * threads, CPU_THREAD.bytes * threads)
    return ACCELERATOR


def free_bytes(device: torch.device) -> float:
    """Bytes that one call may take on the device; without bound where the device does not say."""
    if device.type == "cpu":
        return MEMORY_SHARE * available_bytes()
    try:
        return MEMORY_SHARE * torch.accelerator.get_memory_info(device)[0]
    except (RuntimeError, NotImplementedError, AttributeError, AssertionError, ValueError):
        return float("inf")


def _chunk(whole: Candidate, cost: ProductCost, x: Tensor, free: float) -> int:
    """The largest power of two of probes whose call stays small, or n where all of them do."""
    room = min(free, CHUNK_BYTES) if x.device.type == "cpu" else free
    if whole.bytes(cost, x) <= room:
        return whole.probes
    size = 1 << max(whole.probes - 1, 1).bit_length() - 1
    while size > 1 and cost.alive(size, _points(x)) > room:
        size //= 2
    return size


def _points(x: Tensor) -> int:
    return x.shape[:-1].numel()
