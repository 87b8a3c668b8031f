"""A tape made ready for Taylor mode: rules, liveness, plans for sparse tangents; once, before any number is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor

from jacstrat.taylor import compress
from jacstrat.taylor.fallback import ANY
from jacstrat.taylor.liveness import analysed
from jacstrat.taylor.node import TaylorNode
from jacstrat.taylor.plan import Spread
from jacstrat.taylor.program import TaylorProgram
from jacstrat.taylor.sparse import LEAST, Planner
from jacstrat.taylor.table import TAYLOR_RULES
from jacstrat.taylor.unmerged import unmerged
from jacstrat.trace.arguments import Args
from jacstrat.trace.tape import Slot, Tape, leaves


def ready(tape: Tape, x: Tensor, args: Args) -> TaylorProgram:
    """The program of a tape, for points like x and arguments like these."""
    return _ready(tape, x, args, with_tangents=False)


def ready_for_gradients(tape: Tape, x: Tensor, args: Args) -> TaylorProgram:
    """The same with the tangents of the result, too."""
    return _ready(tape, x, args, with_tangents=True)


def _ready(tape: Tape, x: Tensor, args: Args, with_tangents: bool) -> TaylorProgram:
    tape = unmerged(tape, x.shape)
    ruled = [TaylorNode.of(node, TAYLOR_RULES.get(node.op, ANY)) for node in tape.nodes]
    constants = _ConstantSlots(tape.size)
    nodes = [_without_tensors(node, constants) for node in analysed(ruled, tape.output, tape.arguments, with_tangents)]
    output = constants.slots_of(tape.output).place if isinstance(tape.output, Tensor) else tape.output
    planned = _planned(nodes, tape.size, constants.tensors, x, args, output if with_tangents else None)
    return TaylorProgram(
        planned.nodes,
        tape.size,
        tuple(constants.tensors),
        output,
        numel=max((node.numel for node in nodes if node.wants_tangents), default=0),
        largest=max(planned.numels, default=0),
        total=sum(planned.numels),
        operations=sum(node.varies for node in nodes),
        shared=max((number + 1 for number, node in enumerate(planned.nodes) if _is_shared(node)), default=0),
        guards=planned.guards,
        spread=planned.spread,
        bound=tape.bound,
    )


class _ConstantSlots:
    """The tensors that a function had, each in a slot behind those of its tape."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.tensors: list[Tensor] = []
        self._slots: dict[int, Slot] = {}

    def slots_of(self, tree: Any) -> Any:
        """The tree with a slot for each tensor."""
        if isinstance(tree, Tensor):
            if id(tree) not in self._slots:
                self._slots[id(tree)] = Slot(self.size + len(self.tensors))
                self.tensors.append(tree)
            return self._slots[id(tree)]
        return type(tree)(map(self.slots_of, tree)) if isinstance(tree, (tuple, list)) else tree


def _without_tensors(node: TaylorNode, constants: _ConstantSlots) -> TaylorNode:
    """A node with a slot for each tensor that it has, and with what can be known before a call."""
    args = constants.slots_of(node.args)
    kwargs = {key: constants.slots_of(item) for key, item in node.kwargs.items()}
    used = tuple(slot is not None for slot in node.outs)
    return replace(node, args=args, kwargs=kwargs, used=used, take=_taker(args))


def _taker(args: tuple[Any, ...]) -> Callable[[list[Any]], tuple[Any, ...]] | None:
    """What reads arguments from their slots, where none is in a list."""
    places = [(position, one.index) for position, one in enumerate(args) if isinstance(one, Slot)]
    if any(isinstance(leaf, Slot) for one in args if isinstance(one, (tuple, list)) for leaf in leaves(one)):
        return None

    def take(environment: list[Any]) -> tuple[Any, ...]:
        taken = list(args)
        for position, slot in places:
            taken[position] = environment[slot]
        return tuple(taken)

    return take


class PlannedNodes(NamedTuple):
    """Operations with their plans for sparse tangents.

    Fields:
        nodes: In their order.
        numels: Numbers in the tangents of each that wants some.
        guards: Numbers of constants that plans depend on, with their values.
        spread: What brings the tangents of the result to all n directions; None where that is not asked for.
    """

    nodes: tuple[TaylorNode, ...]
    numels: tuple[int, ...]
    guards: tuple[tuple[int, Tensor], ...] = ()
    spread: Spread | None = None


def _planned(
    nodes: Sequence[TaylorNode], size: int, constants: list[Tensor], x: Tensor, args: Args, output: int | None
) -> PlannedNodes:
    n = x.shape[-1]
    if n < LEAST:  # too few directions to be compressed, too
        return PlannedNodes(tuple(nodes), tuple(n * node.numel for node in nodes if node.wants_tangents))
    planner, planned, numels = Planner(x, args, size, constants), [], []
    for node in nodes:
        if node.varies:
            plan = planner.follow(node)
            node = replace(node, plan=plan, may_compress=_may_compress(planner, node, x))
            if node.wants_tangents:
                numels.append(planner.directions(node) * node.numel)
        else:
            planner.values.evaluate(node)
        planned.append(node)
    spread = None if output is None else planner.spread(output)
    return PlannedNodes(tuple(planned), tuple(numels), tuple(planner.values.guards.items()), spread)


def _may_compress(planner: Planner, node: TaylorNode, x: Tensor) -> bool:
    """Whether the tangents behind a node could span fewer than n directions, be they the same for all points."""
    n = x.shape[-1]
    if not node.carrying or n < compress.LEAST or planner.is_sparse(node.carrying):
        return False
    numbers = sum(planner.values.slots[slot].shape.numel() for slot in node.carrying)
    return numbers <= compress.WORTH * n * (x.numel() // n)


def _is_shared(node: TaylorNode) -> bool:
    """Whether tangents may be compressed behind it, once for all points."""
    return node.may_compress and node.is_fixed
