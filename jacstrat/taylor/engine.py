"""Value, tangents and Laplacian through a tape, once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jacstrat.taylor.compress import Memory, compressed
from jacstrat.taylor.fallback import ANY
from jacstrat.taylor.jet import Jet, value_of
from jacstrat.taylor.node import TaylorNode
from jacstrat.taylor.plan import SparsePlan
from jacstrat.taylor.program import TaylorProgram
from jacstrat.taylor.rule import NotCovered, TaylorCall
from jacstrat.trace.arguments import Args, lifted
from jacstrat.trace.tape import bound


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
    result: Jet | Tensor = environment[program.output]
    if basis is not None and isinstance(result, Jet) and result.tangents is not None:
        result.tangents = torch.tensordot(basis, result.tangents, 1)
    elif (
        isinstance(result, Jet)
        and program.spread
        and result.tangents is not None
        and seed.is_point
        and program.is_planned
    ):
        return program.spread(result)
    return result


def _run(
    program: TaylorProgram, seed: Jet, args: Args, tracked: bool, memory: Memory | None, until: int
) -> tuple[list[Any], Tensor | None]:
    """The first operations of a program: what is in the slots then, and the basis that directions are told in."""
    is_planned = seed.is_point and program.is_planned  # other directions are as dense as can be
    tensors = [arg for arg in lifted(args) if isinstance(arg, Tensor)] if args else []
    environment: list[Any] = [seed, *tensors, *(None,) * (program.size - 1 - len(tensors)), *program.constants]
    K, basis = seed.directions, None
    for number, node in enumerate(program.nodes[:until]):
        plan = node.plan if is_planned else None
        if plan is not None:
            jets_before = {slot: environment[slot] for slot in plan.before}
            for argument, convert in plan.before.items():
                environment[argument] = convert(environment[argument])
        inputs = node.take(environment) if node.take else bound(node.args, environment)
        kwargs = {key: bound(item, environment) for key, item in node.kwargs.items()} if node.kwargs else {}
        if plan is not None:
            for argument, jet in jets_before.items():
                environment[argument] = jet
            del jets_before
        for slot, out in zip(node.outs, _outputs(node, inputs, kwargs, tracked, plan), strict=True):
            if slot is not None:
                environment[slot] = out
        del inputs, kwargs
        for slot in node.dead_after:
            environment[slot] = None
        if memory is not None and node.may_compress:
            jets = [jet for jet in map(environment.__getitem__, node.carrying) if isinstance(jet, Jet)]
            if (fewer := compressed(jets, K, memory, number, node.is_fixed)) is not None:
                K, Q = len(fewer.tangents[0]), fewer.basis
                basis = Q if basis is None or Q is None else basis @ Q
    return environment, basis


def _outputs(
    node: TaylorNode, args: tuple[Any, ...], kwargs: dict[str, Any], tracked: bool, plan: SparsePlan | None
) -> Any:
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
