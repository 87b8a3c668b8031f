"""Transfer functions: from the supports of an operation's arguments to those of its results.

Where the directions of all that an operation puts together agree, entry by entry, its rule is right with fewer than n.
So each function says, too, which supports the arguments must be brought to first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from jacstrat.taylor.abstract import AbstractValue, AbstractValues
from jacstrat.taylor.blocks import paired
from jacstrat.taylor.fallback import ANY
from jacstrat.taylor.jet import Jet, aligned
from jacstrat.taylor.kinds import MOVES, covered, is_entrywise, is_sum, matrices, taken_together
from jacstrat.taylor.node import TaylorNode
from jacstrat.taylor.plan import Instead, Summed
from jacstrat.taylor.rule import NotCovered, TaylorCall
from jacstrat.taylor.supports import padded_to, uniform, union_of
from jacstrat.trace import Slot, bound, leaves
from jacstrat.trace.operations import AtenKind

# Of n directions so many fewer are worth the rearrangement.
WORTH = 2

AbstractArguments = Mapping[int, AbstractValue]


@dataclass(frozen=True, eq=False)
class Transfer:
    """What an operation does to supports.

    Fields:
        wanted: Those that its arguments must have, by slot.
        supports: Of its outputs; None for one that has all n directions.
        instead: What is done in place of its rule.
    """

    wanted: Mapping[int, Tensor]
    supports: tuple[Tensor | None, ...]
    instead: Instead | None = None


def transfer(node: TaylorNode, arguments: AbstractArguments, values: AbstractValues, n: int) -> Transfer | None:
    """What an operation does to supports; None where it needs all n directions.

    Args:
        node: The operation.
        arguments: Those that depend on x, by slot; each has a support.
        values: Of all slots.
        n: Coordinates of x.
    """
    operation = covered(node)
    kind = None if operation is None else operation.kind
    if kind in MOVES:
        return _moved(node, arguments, values)
    if kind is AtenKind.JOINS:
        return _joined(node, arguments, values)
    if is_entrywise(node):
        return _entrywise(node, arguments)
    if len(arguments) == 1:
        return _along(node, *next(iter(arguments.items())), n)
    if operation is not None and matrices(node) and operation.summand is None:
        return _paired(node, arguments, n)
    return None


def _moved(node: TaylorNode, arguments: AbstractArguments, values: AbstractValues) -> Transfer | None:
    """What moves entries moves their supports; where it has other tensors, these are indices."""
    if not values.look_at(slot for slot in node.slots if slot not in arguments):
        return None
    return _by_rule(node, {slot: value.known for slot, value in arguments.items()}, list(values.slots), values)


def _joined(node: TaylorNode, arguments: AbstractArguments, values: AbstractValues) -> Transfer | None:
    """The same, of as many directions as the one with the most; what does not depend on x has no support."""
    longest = max(len(value.known) for value in arguments.values())
    wanted = {slot: padded_to(value.known, longest) for slot, value in arguments.items()}
    environment = list(values.slots)
    for slot in node.slots:
        if slot not in arguments:
            environment[slot] = torch.zeros((), dtype=torch.float64, device="cpu").expand(values.shapes[slot])
    return _by_rule(node, wanted, environment, values)


def _by_rule(
    node: TaylorNode, wanted: Mapping[int, Tensor], environment: list[object], values: AbstractValues
) -> Transfer | None:
    """By the rule itself, with supports as tangents: what it fills up with 0 has none."""
    zero = torch.zeros((), dtype=torch.float64, device="cpu")
    for slot, support in wanted.items():
        environment[slot] = Jet(zero.expand(values.slots[slot].shape), support.double())
    call = TaylorCall(node.op, bound(node.args, environment), node.kwargs, used=(True,) * len(node.outs))
    try:
        result = node.rule.apply(call)
    except NotCovered:
        return None
    jets = result if isinstance(result, (tuple, list)) else (result,)
    return Transfer(wanted, tuple(jet.tangents.round().long() for jet in jets))


def _entrywise(node: TaylorNode, arguments: AbstractArguments) -> Transfer | None:
    """What acts on each entry takes the union of the supports of its arguments."""
    if len(node.outs) != 1:
        return None
    shape = node.shapes[0]
    if len(arguments) > 1 and node.rule is ANY and any(value.shape != shape for value in arguments.values()):
        return None
    union = union_of([aligned(value.known, len(shape)) for value in arguments.values()])
    return Transfer(dict.fromkeys(arguments, union), (union,))


def _along(node: TaylorNode, slot: int, value: AbstractValue, n: int) -> Transfer | None:
    """What acts along some axes of its one argument that depends on x takes the union over these."""
    positions = [position for position, argument in enumerate(node.args) if argument == Slot(slot)]
    rank = len(value.shape)
    if len(positions) != 1 or rank == 0:
        return None
    together = taken_together(node, positions[0], rank)
    if together is None or any(value.shape[axis] == 0 for axis in together.axes):
        return None
    union = uniform(value.known, together.axes)
    if WORTH * len(union) > n and is_sum(node) and node.wants_tangents:
        is_mean = node.op is torch.ops.aten.mean.dim
        summed = Summed(value.known, n, together.axes, keepdim=not together.is_dropped, is_mean=is_mean)
        return Transfer({slot: value.known}, (None,), summed)
    support = union.squeeze(list(together.axes)) if together.is_dropped else union
    return Transfer({slot: union}, (support, *(None,) * (len(node.outs) - 1)))


def _paired(node: TaylorNode, arguments: AbstractArguments, n: int) -> Transfer | None:
    """A product of two factors, each of which has few directions along its rows or columns."""
    left, right = (leaf.index for leaf in leaves(node.args) if isinstance(leaf, Slot))
    if arguments[left].is_point or arguments[right].is_point:
        return None
    pairing = paired(arguments[left].known, arguments[right].known, n)
    if pairing is None:
        return None
    instead, rows, columns, union = pairing
    return Transfer({left: rows, right: columns}, (union,), instead)
