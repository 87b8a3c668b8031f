"""A tape made ready for Taylor mode: rules, liveness, plans for sparse tangents; once, before any number is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from jacstrat.taylor import compress
from jacstrat.taylor.fallback import ANY
from jacstrat.taylor.liveness import analysed
from jacstrat.taylor.node import TaylorNode
from jacstrat.taylor.plan import Spread
from jacstrat.taylor.program import TaylorProgram
from jacstrat.taylor.sparse import LEAST, Planner
from jacstrat.taylor.table import RULES
from jacstrat.trace.arguments import Args
from jacstrat.trace.tape import Slot, Tape, leaves


def ready(tape: Tape, x: Tensor, args: Args) -> TaylorProgram:
    """The program of a tape, for points like x and arguments like these."""
    return _ready(tape, x, args, with_tangents=False)


def ready_for_gradients(tape: Tape, x: Tensor, args: Args) -> TaylorProgram:
    """The same with the tangents of the result, too."""
    return _ready(tape, x, args, with_tangents=True)


def _ready(tape: Tape, x: Tensor, args: Args, with_tangents: bool) -> TaylorProgram:
    ruled = [TaylorNode.of(node, RULES.get(node.op, ANY)) for node in tape.nodes]
    live = analysed(ruled, tape.output, tape.arguments, with_tangents)
    constants: dict[int, Tensor] = {}
    places: dict[int, Slot] = {}

    def placed(tree: Any) -> Any:
        if isinstance(tree, Tensor):
            if id(tree) not in places:
                places[id(tree)] = Slot(tape.size + len(places))
                constants[id(tree)] = tree
            return places[id(tree)]
        return type(tree)(map(placed, tree)) if isinstance(tree, (tuple, list)) else tree

    nodes = tuple(_bare(node, placed) for node in live)
    output = placed(tape.output).place if isinstance(tape.output, Tensor) else tape.output
    nodes, largest, total, guards, spread = _planned(
        nodes, tape.size, list(constants.values()), x, args, None if not with_tangents else output
    )
    shared = max((place + 1 for place, node in enumerate(nodes) if _is_shared(node)), default=0)
    operations = sum(node.varies for node in nodes)
    taken = tuple(constants.values())
    numel = max((node.numel for node in nodes if node.wants_tangents), default=0)
    sizes = (numel, largest, total, operations)
    return TaylorProgram(nodes, tape.size, taken, output, *sizes, shared, guards, spread, tape.bound)


def _bare(node: TaylorNode, placed: Callable[[Any], Any]) -> TaylorNode:
    """A node without tensors of its own, and with what can be known before a call."""
    args, kwargs = placed(node.args), {key: placed(item) for key, item in node.kwargs.items()}
    used = tuple(slot is not None for slot in node.outs)
    return replace(node, args=args, kwargs=kwargs, used=used, take=_taker(args))


def _taker(args: tuple[Any, ...]) -> Callable[[list[Any]], tuple[Any, ...]] | None:
    """What reads arguments from their slots, where none is in a list."""
    places = [(position, one.place) for position, one in enumerate(args) if isinstance(one, Slot)]
    if any(isinstance(leaf, Slot) for one in args if isinstance(one, (tuple, list)) for leaf in leaves(one)):
        return None

    def take(environment: list[Any]) -> tuple[Any, ...]:
        taken = list(args)
        for position, place in places:
            taken[position] = environment[place]
        return tuple(taken)

    return take


def _planned(
    nodes: tuple[TaylorNode, ...], size: int, constants: list[Tensor], x: Tensor, args: Args, output: int | None
) -> tuple[tuple[TaylorNode, ...], int, int, tuple[tuple[int, Tensor], ...], Spread | None]:
    """Nodes with plans for sparse tangents, numbers in the largest tangents and in all, `guards` and `spread`."""
    n = x.shape[-1]
    if n < LEAST:
        numels = [n * node.numel for node in nodes if node.wants_tangents]
        return nodes, max(numels, default=0), sum(numels), (), None  # too few directions to be compressed, too
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
    return (
        tuple(planned),
        max(numels, default=0),
        sum(numels),
        tuple(planner.values.guards.items()),
        None if output is None else planner.spread(output),
    )


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
