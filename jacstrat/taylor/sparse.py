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

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jacstrat.taylor.blocks import outer, paired
from jacstrat.taylor.fallback import ANY
from jacstrat.taylor.jet import Jet, aligned
from jacstrat.taylor.kinds import MOVES, covered, is_entrywise, is_of_weights, is_sum, matrices, taken_together
from jacstrat.taylor.plan import Aligned, SparsePlan, Spread, Summed
from jacstrat.taylor.rule import NotCovered, TaylorCall
from jacstrat.taylor.supports import alignment, padded_to, uniform, union_of
from jacstrat.trace import Node, Slot, bound, leaves
from jacstrat.trace.arguments import Args
from jacstrat.trace.operations import AtenKind

# Of n directions so many fewer are worth the rearrangement.
WORTH = 2
# The least n at which anything is to be gained.
LEAST = 4
# Supports of more numbers are not followed.
MOST = 2**22


class AbstractValue(NamedTuple):
    """What is known of a slot before it has numbers.

    Fields:
        shape: Of the value.
        support: None where it has the n directions.
        is_point: Whether it is x itself, which is either.
    """

    shape: torch.Size
    support: Tensor | None
    is_point: bool = False

    @property
    def known(self) -> Tensor:
        """The support, where there is one."""
        assert self.support is not None
        return self.support


class Planner:
    """Follows supports from x through a tape.

    Fields:
        guards: Constants, by their number, whose values plans depend on, as they are now: indices on the CPU.

    Args:
        x: Points like those that the tape is for.
        args: Further arguments of the function, whose numbers nothing depends on.
        size: Slots of the tape.
        constants: Tensors behind these slots.
    """

    def __init__(self, x: Tensor, args: Args, size: int, constants: list[Tensor]) -> None:
        self.n = x.shape[-1]
        self.device = x.device
        self.size = size
        self.guards: dict[int, Tensor] = {}
        # Followed on the CPU wherever x is: these are many operations, on little.
        coordinates = torch.arange(1, self.n + 1).view((1,) * x.dim() + (self.n,))
        self.abstract_values: list[Any] = [
            AbstractValue(x.shape, coordinates, is_point=True),
            *(None,) * (size - 1),
            *constants,
        ]
        self.shapes: dict[int, torch.Size] = {size + number: one.shape for number, one in enumerate(constants)}
        given = [arg for arg in args if isinstance(arg, Tensor)]
        self.shapes.update({1 + number: arg.shape for number, arg in enumerate(given)})

    def follow(self, node: Node) -> SparsePlan | None:
        """The plan of a node that depends on x, None where its rule does it all; notes what its outputs are."""
        given = {
            leaf.place: self.abstract_values[leaf.place]
            for leaf in leaves((node.args, *node.kwargs.values()))
            if isinstance(leaf, Slot) and isinstance(self.abstract_values[leaf.place], AbstractValue)
        }
        arguments = [self._depends(argument) for argument in node.args]
        if not node.wants_tangents and node.rule.is_linear(arguments):
            self._note(node, [None] * len(node.outs))
            return None
        if all(stand.support is not None for stand in given.values()):
            try:
                plan, outs = self._sparse(node, given)
            except _NoRule:
                pass  # dense from here on, as below
            else:
                if all(out is None or (out.numel() <= MOST and WORTH * len(out) <= self.n) for out in outs):
                    self._note(node, outs)
                    return None if plan is None else plan.on(self.device)
        self._note(node, [None] * len(node.outs))
        plan = self._outer(node, given) or SparsePlan(self._spread(given))
        return plan.on(self.device) if plan.before or plan.instead else None

    def _spread(self, given: Mapping[int, AbstractValue]) -> dict[int, Aligned | Spread]:
        """What brings sparse arguments to all n directions, which x itself has anyway."""
        return {
            place: Spread(stand.support, self.n)
            for place, stand in given.items()
            if stand.support is not None and not stand.is_point
        }

    def spread(self, slot: int) -> Spread | None:
        """What brings a slot to all n directions; None where it has these already."""
        stand = self.abstract_values[slot]
        if not isinstance(stand, AbstractValue) or stand.support is None or stand.is_point:
            return None
        return Spread(stand.support, self.n).on(self.device)

    def evaluate(self, node: Node) -> None:
        """Note what a node gives that does not depend on x, where it makes an index."""
        self._note_shapes(node)
        is_random = torch.Tag.nondeterministic_seeded in getattr(node.op, "tags", ())
        slots = list(node.slots)
        if is_random or any(isinstance(self.abstract_values[slot], AbstractValue) for slot in slots):
            return
        if node.numel > MOST:
            return
        try:
            for slot in slots:
                self._look_at(slot)
        except _NoRule:
            return
        kwargs = {key: bound(item, self.abstract_values) for key, item in node.kwargs.items()}
        if "device" in kwargs:
            kwargs["device"] = torch.device("cpu")
        out = node.op(*bound(node.args, self.abstract_values), **kwargs)
        for place, made in zip(node.outs, out if node.is_tuple else (out,), strict=True):
            if place is not None and isinstance(made, Tensor) and not made.is_floating_point():
                self.abstract_values[place] = made

    def _look_at(self, slot: int) -> None:
        """Let the value of a slot be used; that of a constant, which may be written to, is compared in each call."""
        value = self.abstract_values[slot]
        if not isinstance(value, Tensor) or value.is_floating_point() or value.numel() > MOST:
            raise _NoRule
        if slot >= self.size:
            if value.device.type != "cpu":  # where a comparison would wait for the device
                raise _NoRule
            self.guards.setdefault(slot - self.size, value.clone())

    def _note_shapes(self, node: Node) -> None:
        self.shapes.update(
            {slot: shape for slot, shape in zip(node.outs, node.shapes, strict=True) if slot is not None}
        )

    def directions(self, node: Node) -> int:
        """Of the tangents that a node makes."""
        supports = [self.abstract_values[slot].support for slot in node.outs if slot is not None]
        return max(self.n if support is None else len(support) for support in supports)

    def is_sparse(self, slots: tuple[int, ...]) -> bool:
        """Whether any of these slots has a support, x itself apart."""
        abstract_values = [self.abstract_values[slot] for slot in slots]
        return any(
            isinstance(one, AbstractValue) and one.support is not None and not one.is_point for one in abstract_values
        )

    def _depends(self, argument: Any) -> bool:
        return any(
            isinstance(leaf, Slot) and isinstance(self.abstract_values[leaf.place], AbstractValue)
            for leaf in leaves(argument)
        )

    def _note(self, node: Node, supports: list[Tensor | None]) -> None:
        self._note_shapes(node)
        for slot, shape, support in zip(node.outs, node.shapes, supports, strict=True):
            if slot is not None:
                self.abstract_values[slot] = AbstractValue(shape, support)

    def _sparse(self, node: Node, given: Mapping[int, AbstractValue]) -> tuple[SparsePlan | None, list[Tensor | None]]:
        kind = operation.kind if (operation := covered(node)) is not None else None
        if kind in MOVES:
            return self._moved(node, given)
        if kind is AtenKind.JOINS:
            longest = max(len(stand.support) for stand in given.values() if stand.support is not None)
            padded = {
                place: AbstractValue(stand.shape, padded_to(stand.known, longest)) for place, stand in given.items()
            }
            _, outs = self._moved(node, padded)
            return _plan_to(given, {place: stand.known for place, stand in padded.items()}), outs
        if is_entrywise(node):
            return self._entrywise(node, given)
        if len(given) == 1:
            return self._along(node, *next(iter(given.items())))
        if operation is not None and matrices(node) and operation.summand is None:
            return self._paired(node, given)
        raise _NoRule

    def _moved(self, node: Node, given: Mapping[int, AbstractValue]) -> tuple[SparsePlan | None, list[Tensor | None]]:
        """By the rule itself, with supports as tangents: what it fills up with 0 has none."""
        environment = list(self.abstract_values)
        zero = torch.zeros((), dtype=torch.float64)
        operation = covered(node)
        is_join = operation is not None and operation.kind is AtenKind.JOINS
        for leaf in leaves(node.args):
            if isinstance(leaf, Slot) and leaf.place not in given:
                if is_join:  # whatever it is, it has no support
                    environment[leaf.place] = zero.expand(self.shapes[leaf.place])
                else:
                    self._look_at(leaf.place)
        for place, stand in given.items():
            environment[place] = Jet(zero.expand(stand.shape), stand.known.double())
        args = bound(node.args, environment)
        try:
            found = node.rule.apply(TaylorCall(node.op, args, node.kwargs, used=(True,) * len(node.outs)))
        except NotCovered:
            raise _NoRule from None
        outs = found if isinstance(found, (tuple, list)) else (found,)
        return _plan_to(given, {place: stand.known for place, stand in given.items()}), [
            out.tangents.round().long() for out in outs
        ]

    def _entrywise(
        self, node: Node, given: Mapping[int, AbstractValue]
    ) -> tuple[SparsePlan | None, list[Tensor | None]]:
        if len(node.outs) != 1:
            raise _NoRule
        shape = node.shapes[0]
        if len(given) > 1 and node.rule is ANY and any(stand.shape != shape for stand in given.values()):
            raise _NoRule
        supports = {place: aligned(stand.known, len(shape)) for place, stand in given.items()}
        union = union_of(list(supports.values()))
        return _plan_to(given, dict.fromkeys(given, union)), [union]

    def _along(self, node: Node, place: int, stand: AbstractValue) -> tuple[SparsePlan | None, list[Tensor | None]]:
        """An operation along some axes of its one argument that depends on x."""
        positions = [number for number, one in enumerate(node.args) if one == Slot(place)]
        if len(positions) != 1:
            raise _NoRule
        (position,) = positions
        rank = len(stand.shape)
        named = taken_together(node, position, rank)
        if named is None or rank == 0 or any(stand.shape[axis] == 0 for axis in named.axes):
            raise _NoRule
        union = uniform(stand.known, named.axes)
        out: Tensor = union
        if named.is_dropped:
            out = union.squeeze(list(named.axes))
        if WORTH * len(union) > self.n and is_sum(node) and node.wants_tangents:
            keepdim, is_mean = not named.is_dropped, node.op is aten.mean.dim
            before = {place: Aligned((0,), None, rank)} if stand.is_point else {}
            return SparsePlan(before, Summed(stand.known, self.n, named.axes, keepdim, is_mean)), [None]
        others: list[Tensor | None] = [None] * (len(node.outs) - 1)
        return _plan_to({place: stand}, {place: union}), [out, *others]

    def _paired(self, node: Node, given: Mapping[int, AbstractValue]) -> tuple[SparsePlan | None, list[Tensor | None]]:
        """A product of two factors, each of which has few directions along its rows or columns."""
        a, b = (leaf.place for leaf in leaves(node.args) if isinstance(leaf, Slot))
        found = None
        if not given[a].is_point and not given[b].is_point:
            found = paired(given[a].known, given[b].known, self.n)
        if found is None:
            raise _NoRule
        instead, left, right, union = found
        plan = _plan_to(given, {a: left, b: right})
        return SparsePlan(plan.before if plan else {}, instead), [union]

    def _outer(self, node: Node, given: Mapping[int, AbstractValue]) -> SparsePlan | None:
        """The plan of a product, one factor of which has other directions in each part of the axis contracted."""
        positions = [factor.position for factor in matrices(node)]
        factors = [node.args[position] for position in positions]
        summands = [one for number, one in enumerate(node.args) if number not in positions]
        plain = not node.kwargs or all(value == 1 for value in node.kwargs.values())
        if not factors or factors[0] == factors[1] or self._depends(summands) or not plain:
            return None
        if any(is_of_weights(node, factor) and self._depends(node.args[factor.position]) for factor in matrices(node)):
            return None
        for is_left, factor in zip((True, False), factors, strict=True):
            stand = given.get(factor.place) if isinstance(factor, Slot) else None
            if stand is None or stand.support is None or stand.is_point or len(stand.shape) < 2:
                continue
            if (found := outer(stand.known, stand.shape, is_left, self.n)) is not None:
                instead, wanted = found
                plan = _plan_to({factor.place: stand}, {factor.place: wanted})
                others = self._spread({place: one for place, one in given.items() if place != factor.place})
                return SparsePlan({**others, **(plan.before if plan else {})}, instead)
        return None


class _NoRule(Exception):  # noqa: N818 - a turning, and no fault
    """An operation that needs all n directions."""


def _plan_to(given: Mapping[int, AbstractValue], wanted: Mapping[int, Tensor]) -> SparsePlan | None:
    """From the supports that arguments have to those that an operation wants."""
    before = {
        place: alignment(aligned(one.known, wanted[place].dim() - 1), wanted[place]) for place, one in given.items()
    }
    changed = {
        place: alignment
        for place, alignment in before.items()
        if given[place].is_point or alignment.rows != tuple(range(len(given[place].known)))
    }
    return SparsePlan(changed) if changed else None


aten = torch.ops.aten
