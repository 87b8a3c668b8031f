"""Sparse tangents: an entry that depends on few coordinates has a tangent for each of these, and not n.

The support of a value is a tensor of coordinates, (s, ...) with the axes of the value behind, counted from 1; 0 stands
for none. Local direction k of an entry is the coordinate that stands there, so the entry's tangents are (s, ...) too.
Where the directions of all that an operation puts together agree, entry by entry, its rule is right with s in the place
of n: it knows them as K directions. They are made to agree before, by a plan that is worked out once:

- an operation that moves entries moves their supports;
- one on each entry takes the union of the supports of its arguments;
- one along an axis takes the union over the axis;
- a sum adds into the n directions;
- products of matrices as in `blocks`;
- before any other the tangents are spread over the n directions.

So pairwise differences of particles have 6 directions, a stencil has its width, a layer of each particle 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from jacstrat.taylor.abstract import MOST, AbstractValue, AbstractValues
from jacstrat.taylor.blocks import outer
from jacstrat.taylor.jet import aligned
from jacstrat.taylor.kinds import is_of_weights, matrices
from jacstrat.taylor.node import TaylorNode
from jacstrat.taylor.plan import Aligned, SparsePlan, Spread
from jacstrat.taylor.supports import alignment
from jacstrat.taylor.transfer import WORTH, AbstractArguments, Transfer, transfer
from jacstrat.trace import Slot
from jacstrat.trace.arguments import Args

# The least n at which anything is to be gained.
LEAST = 4


class Planner:
    """Makes the plan of each operation of a tape, in their order, from what is known of its arguments.

    Fields:
        values: What is known of the slots so far.

    Args:
        x: Points like those that the tape is for.
        args: Further arguments of the function, whose numbers nothing depends on.
        size: Slots of the tape.
        constants: Tensors behind these slots.
    """

    def __init__(self, x: Tensor, args: Args, size: int, constants: list[Tensor]) -> None:
        self.n = x.shape[-1]
        self.device = x.device
        self.values = AbstractValues(x, args, size, constants)

    def follow(self, node: TaylorNode) -> SparsePlan | None:
        """The plan of a node that depends on x, None where its rule does it all; notes what its outputs are."""
        arguments = self.values.of(node)
        dense = (None,) * len(node.outs)
        if not node.wants_tangents and node.rule.is_linear([self.values.depends(argument) for argument in node.args]):
            self.values.note(node, dense)
            return None
        transferred = self._transfer(node, arguments)
        if transferred is not None:
            self.values.note(node, transferred.supports)
            plan = SparsePlan(_brought_to(arguments, transferred.wanted), transferred.instead)
        else:
            self.values.note(node, dense)
            plan = self._outer(node, arguments) or SparsePlan(self._spread(arguments))
        return plan.on(self.device) if plan.before or plan.instead else None

    def _transfer(self, node: TaylorNode, arguments: AbstractArguments) -> Transfer | None:
        """Where it leaves few enough directions."""
        if any(value.support is None for value in arguments.values()):
            return None
        transferred = transfer(node, arguments, self.values, self.n)
        if transferred is None:
            return None
        supports = [support for support in transferred.supports if support is not None]
        is_worth_it = all(support.numel() <= MOST and WORTH * len(support) <= self.n for support in supports)
        return transferred if is_worth_it else None

    def _outer(self, node: TaylorNode, arguments: AbstractArguments) -> SparsePlan | None:
        """The plan of a product, one factor of which has other directions in each part of the axis contracted."""
        factors = matrices(node)
        tensors = [node.args[factor.position] for factor in factors]
        summands = [one for position, one in enumerate(node.args) if position not in {one.position for one in factors}]
        is_plain = not node.kwargs or all(value == 1 for value in node.kwargs.values())
        if not factors or tensors[0] == tensors[1] or self.values.depends(summands) or not is_plain:
            return None
        if any(is_of_weights(node, factor) and self.values.depends(node.args[factor.position]) for factor in factors):
            return None
        for is_left, tensor in zip((True, False), tensors, strict=True):
            value = arguments.get(tensor.index) if isinstance(tensor, Slot) else None
            if value is None or value.support is None or value.is_point or len(value.shape) < 2:
                continue
            if (planned := outer(value.known, value.shape, is_left, self.n)) is not None:
                instead, wanted = planned
                before = self._spread({slot: one for slot, one in arguments.items() if slot != tensor.index})
                return SparsePlan({**before, **_brought_to({tensor.index: value}, {tensor.index: wanted})}, instead)
        return None

    def _spread(self, arguments: AbstractArguments) -> dict[int, Aligned | Spread]:
        """What brings sparse arguments to all n directions, which x itself has anyway."""
        return {slot: Spread(value.known, self.n) for slot, value in arguments.items() if _is_sparse(value)}

    def spread(self, slot: int) -> Spread | None:
        """What brings a slot to all n directions; None where it has these already."""
        value = self.values.slots[slot]
        return Spread(value.known, self.n).on(self.device) if _is_sparse(value) else None

    def directions(self, node: TaylorNode) -> int:
        """Of the tangents that a node makes."""
        supports = [self.values.slots[slot].support for slot in node.outs if slot is not None]
        return max(self.n if support is None else len(support) for support in supports)

    def is_sparse(self, slots: Iterable[int]) -> bool:
        """Whether any of these slots has a support, x itself apart."""
        return any(_is_sparse(self.values.slots[slot]) for slot in slots)


def _is_sparse(value: object) -> bool:
    return isinstance(value, AbstractValue) and value.support is not None and not value.is_point


def _brought_to(arguments: AbstractArguments, wanted: Mapping[int, Tensor]) -> dict[int, Aligned | Spread]:
    """From the supports that arguments have to those that an operation wants, where these are others."""
    before: dict[int, Aligned | Spread] = {}
    for slot, value in arguments.items():
        rows = alignment(aligned(value.known, wanted[slot].dim() - 1), wanted[slot])
        if value.is_point or rows.rows != tuple(range(len(value.known))):
            before[slot] = rows
    return before
