"""What `auto` chooses among: strategies in the forms in which they are exact, and the time predicted from counts.

    time = operations x overhead + work,  work = FLOPs / rate + bytes written / rate

The overhead depends on how the operations are dispatched, the rates on the device. A device works while the host
dispatches, so that there it is the larger of the two:

    time = max(operations x overhead x launch_s / HOST_OP_S, operations x KERNEL_S + work)

The constants are those of one machine and serve to rank: what is close is left to the trial. Each strategy declares its
forms, see `Strategy.candidates`; nothing here knows one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from jacstrat.available import available_bytes
from jacstrat.core.operator import Operator
from jacstrat.strategies.auto.counting import OpCounts, ProductCost
from jacstrat.strategies.auto.rates import rates_of
from jacstrat.strategies.base import Args, Function, Strategy
from jacstrat.strategies.contraction import Contraction
from jacstrat.strategies.workload import Workload
from jacstrat.structure import Structure
from jacstrat.trace.numbers import NumbersGuard

# What an operation of plain reverse mode takes on the host that overheads were fitted on; where another host takes
# longer to launch one, all overheads grow alike.
HOST_OP_S = 4e-6
# The least time of an operation on a device, as one of many in a graph.
KERNEL_S = 2e-6

# Bytes that the products of one call may write before probes are also tried in chunks: beyond the caches of a CPU.
CHUNK_BYTES = 64 * 2**20
# Share of the free memory that one call may fill by the bound of `ProductCost.alive`.
MEMORY_SHARE = 0.5


@dataclass(frozen=True)
class Candidate:
    """A strategy in a form in which it is exact, and what it does for one operator.

    Fields:
        strategy: What would do the work.
        cost: What its products cost for one point.
        probes: How many.
        chunk: How many a call.
        op_s: Overhead of one operation, seconds.
        stored: Numbers that it keeps for each point besides, such as the n^2 of a dense matrix.
        ground: Why it is exact for this function, where it is not always; "" where it is.
        guard: Of the numbers that this rests on.
        make: What it builds, (operator, f, x, args), where there is more known than the strategy would find.
        setup_s: Time to prepare it, where that is far from nothing, predicted.
        call_s: Time of a call beside its operations.
    """

    strategy: Strategy
    cost: ProductCost
    probes: int
    chunk: int
    op_s: float
    stored: int = 0
    ground: str = ""
    guard: NumbersGuard | None = None
    make: Callable[[Operator, Function, Tensor, Args], Contraction] | None = None
    setup_s: float = 0.0
    call_s: float = 0.0

    def build(self, operator: Operator, f: Function, x: Tensor, args: Args) -> Contraction:
        """What the strategy builds, without tracing again what was traced."""
        if self.make is not None:
            built = self.make(operator, f, x, args)
        else:
            built = self.strategy.contracted(operator, f, x, args, None)
        # A strategy that is right by a proof rests on it.
        return replace(built, is_traced=True, guard=self.guard) if self.ground else built

    def work(self, x: Tensor) -> OpCounts:
        """Operations, FLOPs and bytes written of one call, by counts."""
        stored = OpCounts(bytes=self.stored * _points(x) * x.itemsize)
        return self.cost.total(self.probes, self.chunk, _points(x)) + stored

    def seconds(self, x: Tensor) -> float:
        """The time of one call, predicted."""
        work, rates = self.work(x), rates_of(x.device)
        ops = max(work.ops, 1)  # of x -> x nothing is counted, but no call takes no time
        moved_s = work.flops / rates.flops + work.bytes / rates.bytes
        if not rates.launch_s:
            return self.call_s + ops * self.op_s + moved_s
        host_s = ops * self.op_s * rates.launch_s / HOST_OP_S
        return self.call_s + max(host_s, ops * KERNEL_S + moved_s)

    def bytes(self, x: Tensor) -> float:
        """Memory of one call, an upper bound."""
        return self.cost.alive(self.chunk, _points(x)) + self.stored * _points(x) * x.itemsize


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of a function before anything but itself was run.

    Fields:
        operator: Plain.
        x: The points.
        costs: What products cost for one point, by name: "reverse", "vjp", "jvp".
        work: What f costs for one point.
        tried: What each candidate is called with before one is chosen; None where none is.
        structure: Of J, or of H; None where nothing is known of it.
        assumed: J is diagonal on the caller's word.
        compiles: The caller allows the seconds of a compiler.
    """

    operator: Operator
    x: Tensor
    costs: Mapping[str, ProductCost]
    work: OpCounts
    tried: Workload | None = None
    structure: Structure | None = None
    assumed: bool = False
    compiles: bool = False

    @property
    def n(self) -> int:
        """Coordinates."""
        return self.x.shape[-1]

    @cached_property
    def free_bytes(self) -> float:
        """That one call may take, asked for once: it is read off a dozen files."""
        return free_bytes(self.x.device)

    @property
    def trace_s(self) -> float:
        """Time to record f, predicted."""
        return TRACE_S + TRACE_OP_S * self.work.ops

    @property
    def ground(self) -> str:
        """On what ground fewer products than n are right; "" where none is known."""
        if self.assumed:
            return "assumed diagonal, 1 product"
        if self.structure is None or self.structure.colors == self.n:
            return ""
        K = self.structure.colors
        return f"{self.structure.source} {self.structure.form}, {K} product{'' if K == 1 else 's'} instead of {self.n}"

    @property
    def guard(self) -> NumbersGuard | None:
        """Of the numbers that this rests on."""
        return None if self.structure is None else self.structure.guard

    @property
    def is_diagonal(self) -> bool:
        """Whether one product is right on that ground."""
        return self.assumed or (self.structure is not None and self.structure.kind == "diagonal" and self.n > 1)

    def looped(self, strategy: Strategy, product: str, op_s: float) -> Candidate:
        """All n unit vectors, one a call."""
        return Candidate(strategy, self.costs[product], self.n, 1, op_s)

    def batched(self, whole: Strategy, product: str, op_s: float, stored: int = 0) -> Iterator[Candidate]:
        """All n unit vectors in one call where that fits into memory; beside it or in its place in chunks.

        Args:
            whole: A strategy, with a parameter `chunk_size` unless numbers are `stored`.
            product, op_s, stored: As of a Candidate.
        """
        every, free = Candidate(whole, self.costs[product], self.n, self.n, op_s, stored), self.free_bytes
        if every.bytes(self.x) <= free:
            yield every
        if not stored and (size := _chunk(every, self.x, free)) < self.n:
            yield Candidate(replace(whole, chunk_size=size), self.costs[product], self.n, size, op_s)  # type: ignore[call-arg]


# What a trace takes: for itself, and for each operation of f, on a core of the machine of the reference run.
TRACE_S, TRACE_OP_S = 2e-3, 0.7e-3


def free_bytes(device: torch.device) -> float:
    """Bytes that one call may take on the device; without bound where the device does not say."""
    if device.type == "cpu":
        return MEMORY_SHARE * available_bytes()
    try:
        return MEMORY_SHARE * torch.accelerator.get_memory_info(device)[0]
    except (RuntimeError, NotImplementedError, AttributeError, AssertionError, ValueError):
        return float("inf")


def _chunk(whole: Candidate, x: Tensor, free: float) -> int:
    """The largest power of two of probes whose call stays small, or n where all of them do."""
    room = min(free, CHUNK_BYTES) if x.device.type == "cpu" else free
    if whole.bytes(x) <= room:
        return whole.probes
    size = 1 << max(whole.probes - 1, 1).bit_length() - 1
    while size > 1 and whole.cost.alive(size, _points(x)) > room:
        size //= 2
    return size


def _points(x: Tensor) -> int:
    return x.shape[:-1].numel()
