"""Value, tangents and Laplacian through a tape, once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from jacstrat.tape.tape import Node, Slot, Tape, analysed, bound, leaves
from jacstrat.taylor.compress import compressed
from jacstrat.taylor.fallback import ANY
from jacstrat.taylor.jet import Jet, value_of
from jacstrat.taylor.rule import Call, NotCovered
from jacstrat.taylor.table import RULES

# Tangents after a recombination that does not depend on the points, by the place of their node on the tape.
Memory = dict[int, list[Tensor]]


def ready(tape: Tape) -> Tape:
    """The tape with what the rules say of it worked out."""
    nodes = tuple(replace(node, rule=RULES.get(node.op, ANY)) for node in tape.nodes)
    return analysed(replace(tape, nodes=nodes), _kinds)


def _kinds(node: Node, varying: frozenset[int]) -> tuple[bool, bool]:
    arguments = [any(isinstance(leaf, Slot) and leaf.place in varying for leaf in leaves(a)) for a in node.args]
    is_linear = node.rule.is_linear(arguments)
    return is_linear, is_linear and not node.rule.is_piecewise


def propagate(tape: Tape, seed: Jet, tracked: bool, memory: Memory | None) -> Tensor:
    """The Laplacian of a tape's result.

    Args:
        tape: A scalar, `ready`.
        seed: The points with their directions.
        tracked: Whether autograd may want to go through what is computed.
        memory: What tiles of the same points have in common, empty for the first; None where directions are to stay
            as they are.
    """
    environment: list[Any] = [None] * tape.size
    environment[0] = seed
    K = seed.directions
    for place, node in enumerate(tape.nodes):
        args = bound(node.args, environment)
        kwargs = {key: bound(item, environment) for key, item in node.kwargs.items()} if node.kwargs else {}
        for slot, out in zip(node.outs, _done(node, args, kwargs, tracked), strict=True):
            if slot is not None:
                environment[slot] = out
        del args, kwargs
        for slot in node.frees:
            environment[slot] = None
        if memory is not None and node.varies and node.carrying:
            jets = [jet for jet in map(environment.__getitem__, node.carrying) if isinstance(jet, Jet)]
            K = compressed(jets, K, memory if node.is_fixed else {}, place)
    y = tape.output if isinstance(tape.output, Tensor) else environment[tape.output]
    if not isinstance(y, Jet):
        return torch.zeros_like(y)
    return torch.zeros_like(y.value) if y.laplacian is None else y.laplacian


def _done(node: Node, args: tuple[Any, ...], kwargs: dict[str, Any], tracked: bool) -> Any:
    """The outputs of a node."""
    if node.varies:
        used = tuple(slot is not None for slot in node.outs)
        spent = not tracked and node.spends
        call = Call(node.op, args, kwargs, node.wants_tangents, spent, used)
        try:
            out = node.rule.apply(call)
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
