"""Value, tangents and Laplacian through a tape, once."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from jacstrat.graphs import is_capturing
from jacstrat.taylor import compress
from jacstrat.taylor.compress import Memory, compressed
from jacstrat.taylor.fallback import ANY
from jacstrat.taylor.jet import Jet, value_of
from jacstrat.taylor.plan import SparsePlan, Spread
from jacstrat.taylor.rule import NotCovered, TaylorCall
from jacstrat.taylor.sparse import LEAST, Planner
from jacstrat.taylor.table import RULES
from jacstrat.trace.arguments import Args, lifted
from jacstrat.trace.tape import Node, Slot, Tape, analysed, bound, leaves


@dataclass(frozen=True, eq=False)
class TaylorProgram:
    """A tape with what the rules say of it worked out.

    Fields:
        nodes: Its operations; their arguments have a Slot for every tensor.
        size: Number of slots that x, arguments and operations fill; those of the constants follow.
        constants: Tensors that the function had.
        output: The slot of the result.
        numel: Numbers in the largest value with tangents.
        largest: Numbers in the largest tangents along the n unit vectors.
        total: Numbers in all of these together.
        operations: How many depend on x.
        guards: Numbers of constants that plans depend on, with their values when these were made.
        spread: What brings the tangents of the result to all n directions; None where they have these.
        bound: Why points cannot be taken in parts, see `Tape`; "" where they can.
        shared: How many operations it takes until no tangents are left that are the same for all points.
    """

    nodes: tuple[Node, ...]
    size: int
    constants: tuple[Tensor, ...]
    output: int
    numel: int
    largest: int
    total: int
    operations: int
    shared: int
    guards: tuple[tuple[int, Tensor], ...]
    spread: Spread | None = None
    bound: str = ""

    @property
    def is_planned(self) -> bool:
        """Whether plans are still right; not known in a compiler, which has no values, nor to a replay."""
        if self.guards and (torch.compiler.is_compiling() or is_capturing()):
            return False
        return all(torch.equal(self.constants[number], value) for number, value in self.guards)


def ready(tape: Tape, x: Tensor, args: Args) -> TaylorProgram:
    """The program of a tape, for points like x and arguments like these."""
    return _ready(tape, x, args, with_tangents=False)


def ready_for_gradients(tape: Tape, x: Tensor, args: Args) -> TaylorProgram:
    """The same with the tangents of the result, too."""
    return _ready(tape, x, args, with_tangents=True)


def _ready(tape: Tape, x: Tensor, args: Args, with_tangents: bool) -> TaylorProgram:
    nodes = tuple(replace(node, rule=RULES.get(node.op, ANY)) for node in tape.nodes)
    tape = analysed(replace(tape, nodes=nodes), _kinds, with_tangents)
    constants: dict[int, Tensor] = {}
    places: dict[int, Slot] = {}

    def placed(tree: Any) -> Any:
        if isinstance(tree, Tensor):
            if id(tree) not in places:
                places[id(tree)] = Slot(tape.size + len(places))
                constants[id(tree)] = tree
            return places[id(tree)]
        return type(tree)(map(placed, tree)) if isinstance(tree, (tuple, list)) else tree

    nodes = tuple(_bare(node, placed) for node in tape.nodes)
    output = placed(tape.output).place if isinstance(tape.output, Tensor) else tape.output
    nodes, largest, total, guards, spread = _planned(
        nodes, tape.size, list(constants.values()), x, args, None if not with_tangents else output
    )
    shared = max((place + 1 for place, node in enumerate(nodes) if _is_shared(node)), default=0)
    operations = sum(node.varies for node in nodes)
    taken = tuple(constants.values())
    sizes = (tape.numel, largest, total, operations)
    return TaylorProgram(nodes, tape.size, taken, output, *sizes, shared, guards, spread, tape.bound)


def _bare(node: Node, placed: Callable[[Any], Any]) -> Node:
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
    nodes: tuple[Node, ...], size: int, constants: list[Tensor], x: Tensor, args: Args, output: int | None
) -> tuple[tuple[Node, ...], int, int, tuple[tuple[int, Tensor], ...], Spread | None]:
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
            planner.evaluate(node)
        planned.append(node)
    return (
        tuple(planned),
        max(numels, default=0),
        sum(numels),
        tuple(planner.guards.items()),
        None if output is None else planner.spread(output),
    )


def _may_compress(planner: Planner, node: Node, x: Tensor) -> bool:
    """Whether the tangents behind a node could span fewer than n directions, be they the same for all points."""
    n = x.shape[-1]
    if not node.carrying or n < compress.LEAST or planner.is_sparse(node.carrying):
        return False
    numbers = sum(planner.abstract_values[slot].shape.numel() for slot in node.carrying)
    return numbers <= compress.WORTH * n * (x.numel() // n)


def _is_shared(node: Node) -> bool:
    """Whether tangents may be compressed behind it, once for all points."""
    return node.may_compress and node.is_fixed


def weak_factory(program: TaylorProgram, tensors: frozenset[int]) -> Callable[[], TaylorProgram | None] | None:
    """What gives the program again as long as its constants live, and keeps none of them alive.

    Args:
        program: To be kept.
        tensors: Identities of the tensors that its function reaches; None is given where a constant is not among them:
            then it was made in the recording.
    """
    if any(id(constant) not in tensors for constant in program.constants):
        return None
    references = tuple(map(weakref.ref, program.constants))
    bare = replace(program, constants=())

    def revive() -> TaylorProgram | None:
        constants = tuple(constant for reference in references if (constant := reference()) is not None)
        return replace(bare, constants=constants) if len(constants) == len(references) else None

    return revive


def _kinds(node: Node, varying: frozenset[int]) -> tuple[bool, bool]:
    arguments = [any(isinstance(leaf, Slot) and leaf.place in varying for leaf in leaves(a)) for a in node.args]
    is_linear = node.rule.is_linear(arguments)
    return is_linear, is_linear and not node.rule.is_piecewise


def remember(program: TaylorProgram, seed: Jet, memory: Memory, args: Args = ()) -> None:
    """Fill the memory with all that tiles have in common, from a graph of its own where one is recorded."""
    _run(program, seed, args, True, memory, program.shared)


def propagate(program: TaylorProgram, seed: Jet, tracked: bool, memory: Memory | None, args: Args = ()) -> Jet | Tensor:
    """The jet of a program's result, or its value where it does not depend on x.

    Args:
        program: Of a scalar.
        seed: The points with their directions.
        args: Further arguments of the function.
        tracked: Whether autograd may want to go through what is computed.
        memory: What tiles of the same points have in common, empty for the first; None where directions are to stay
            as they are. Where it has bases, the result has tangents along all directions.
    """
    environment, basis = _run(program, seed, args, tracked, memory, len(program.nodes))
    found: Jet | Tensor = environment[program.output]
    if basis is not None and isinstance(found, Jet) and found.tangents is not None:
        found.tangents = torch.tensordot(basis, found.tangents, 1)
    elif (
        isinstance(found, Jet)
        and program.spread
        and found.tangents is not None
        and seed.is_point
        and program.is_planned
    ):
        return program.spread(found)
    return found


def _run(
    program: TaylorProgram, seed: Jet, args: Args, tracked: bool, memory: Memory | None, until: int
) -> tuple[list[Any], Tensor | None]:
    """The first operations of a program: what is in the slots then, and the basis that directions are told in."""
    is_planned = seed.is_point and program.is_planned  # other directions are as dense as can be
    given = [arg for arg in lifted(args) if isinstance(arg, Tensor)] if args else []
    environment: list[Any] = [seed, *given, *(None,) * (program.size - 1 - len(given)), *program.constants]
    K, basis = seed.directions, None
    for place, node in enumerate(program.nodes[:until]):
        plan = node.plan if is_planned else None
        if plan is not None:
            kept = {slot: environment[slot] for slot in plan.before}
            for slot, convert in plan.before.items():
                environment[slot] = convert(environment[slot])
        inputs = node.take(environment) if node.take else bound(node.args, environment)
        kwargs = {key: bound(item, environment) for key, item in node.kwargs.items()} if node.kwargs else {}
        if plan is not None:
            for slot, jet in kept.items():
                environment[slot] = jet
            del kept
        for slot, out in zip(node.outs, _done(node, inputs, kwargs, tracked, plan), strict=True):
            if slot is not None:
                environment[slot] = out
        del inputs, kwargs
        for slot in node.dead_after:
            environment[slot] = None
        if memory is not None and node.may_compress:
            jets = [jet for jet in map(environment.__getitem__, node.carrying) if isinstance(jet, Jet)]
            if (fewer := compressed(jets, K, memory, place, node.is_fixed)) is not None:
                K, Q = len(fewer.tangents[0]), fewer.basis
                basis = Q if basis is None or Q is None else basis @ Q
    return environment, basis


def _done(node: Node, args: tuple[Any, ...], kwargs: dict[str, Any], tracked: bool, plan: SparsePlan | None) -> Any:
    """The outputs of a node."""
    if node.varies:
        call = TaylorCall(node.op, args, kwargs, node.wants_tangents, not tracked and node.is_last_use, node.used)
        try:
            out = node.rule.apply(call) if plan is None or plan.instead is None else plan.instead(call)
        except NotCovered:
            out = ANY.apply(call)
    else:
        if node.is_cut:
            args = tuple(_constant(argument) for argument in args)
            kwargs = {key: _constant(argument) for key, argument in kwargs.items()}
        out = node.op(*args, **kwargs)
    return out if node.is_tuple else (out,)


def _constant(tree: Any) -> Any:
    if isinstance(tree, (tuple, list)):
        return type(tree)(map(_constant, tree))
    v = value_of(tree)
    return v.detach() if isinstance(v, Tensor) else v
