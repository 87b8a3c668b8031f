"""What each kind of operation does to sets: one table, kind -> rule.

A rule takes a PatternCall and gives the sets of the result, or a list where there are several results. A kind without a
rule, or a rule that does not know, is served by `everything`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from jacstrat.structure.sets import Sets, aligned, together
from jacstrat.trace.operations import AtenKind, operation_of


class UnknownError(Exception):
    """A rule cannot say anything about this call, as where an index is computed from x."""


@dataclass(frozen=True, eq=False)
class ArgumentSlot:
    """The place of a tensor among the arguments of a call.

    Fields:
        shape: Of the tensor.
        differentiable: Its numbers are real or complex.
        whole: Its storage has its elements in their order and no others.
        sets: What its elements depend on; None for a constant.
        value: Gives the tensor of a constant, on the CPU; raises UnknownError where that is not to be relied on.
    """

    shape: tuple[int, ...]
    differentiable: bool
    whole: bool
    sets: Sets | None
    value: Callable[[], Tensor]


@dataclass(frozen=True, eq=False)
class PatternCall:
    """One operation of the graph.

    Fields:
        operation: The aten overload.
        arguments: By their names in its schema, with defaults; a Slot for each tensor.
        shapes: Of the results.
        n: Coordinates of x.
    """

    operation: Any
    arguments: Mapping[str, Any]
    shapes: tuple[tuple[int, ...], ...]
    n: int

    def __getitem__(self, name: str) -> Any:
        return self.arguments.get(name)

    @property
    def dependent(self) -> list[Sets]:
        """Sets of the tensors that depend on x."""
        sets: list[Sets] = []
        tree_map_only(ArgumentSlot, lambda slot: sets.append(slot.sets) if slot.sets else None, dict(self.arguments))
        return sets

    def sets(self, name: str) -> Sets:
        """Sets of a tensor argument; empty ones for a constant."""
        slot = self.arguments[name]
        return slot.sets or Sets.constant(slot.shape, self.n)

    def only(self, *names: str) -> None:
        """Raises UnknownError unless nothing but these arguments depends on x."""
        if any(
            slot.sets for name, slot in self.arguments.items() if isinstance(slot, ArgumentSlot) and name not in names
        ):
            raise UnknownError


PatternRule = Callable[[PatternCall], Sets | list[Sets]]
PATTERN_RULES: dict[AtenKind, PatternRule] = {}


def rule(*kinds: AtenKind) -> Callable[[PatternRule], PatternRule]:
    """Enters a rule for kinds of operations."""

    def register(function: PatternRule) -> PatternRule:
        PATTERN_RULES.update(dict.fromkeys(kinds, function))
        return function

    return register


def everything(call: PatternCall) -> list[Sets]:
    """Each element of each result depends on all that any argument depends on: true of every operation."""
    union = together([sets.all() for sets in call.dependent])
    return [union.expand(shape) for shape in call.shapes]


@rule(AtenKind.COPIES, AtenKind.POINTWISE, AtenKind.FILLS)
def pointwise(call: PatternCall) -> Sets:
    """Element by element, broadcast; also every operation that torch tags as pointwise."""
    return together(call.dependent).expand(call.shapes[0])


# Names of arguments whose number fills new places: as 0, which is the id of the empty set.
FILL = ("value", "self", "other")


@rule(AtenKind.MOVES, AtenKind.PERMUTES, AtenKind.JOINS, AtenKind.OVERWRITES, AtenKind.REPLACES)
def moved(call: PatternCall) -> list[Sets]:
    """The operation itself, on ids; index tensors must be constants whose values are known.

    Elements are moved, never combined: done to ids instead of numbers, it gives the ids of the result.
    """
    slots: list[ArgumentSlot] = []
    tree_map_only(ArgumentSlot, lambda slot: slots.append(slot) if slot.differentiable else None, dict(call.arguments))
    ids, table = aligned([slot.sets or Sets.constant(slot.shape, call.n) for slot in slots])
    places = {id(slot): one for slot, one in zip(slots, ids, strict=True)}

    def stand_in(slot: ArgumentSlot) -> Tensor:
        return places[id(slot)] if slot.differentiable else slot.value()

    arguments = tree_map_only(ArgumentSlot, stand_in, dict(call.arguments))
    arguments |= {name: 0 for name in FILL if isinstance(arguments.get(name), int | float | complex)}
    results = call.operation(**arguments)
    results = results if isinstance(results, list | tuple) else [results]
    if any(one.dtype != torch.int64 for one in results):
        # A view of other bits.
        raise UnknownError
    return [Sets(one, table) for one in results]


@rule(AtenKind.RESHAPES)
def viewed(call: PatternCall) -> Sets:
    """Another shape, which ids that are repeated may have to be copied for; other bits are unknown."""
    if call["dtype"] is not None:
        raise UnknownError
    sets = call.sets("self")
    return Sets(sets.ids.reshape(call.shapes[0]), sets.table)


@rule(AtenKind.STRIDES)
def strided(call: PatternCall) -> Sets | list[Sets]:
    """Of a storage in its plain order, which ids that are repeated do not have."""
    if not call["self"].whole:
        raise UnknownError
    plain = Sets(call.sets("self").ids.clone(memory_format=torch.contiguous_format), call.sets("self").table)
    return moved(replace(call, arguments={**call.arguments, "self": replace(call["self"], sets=plain)}))


@rule(AtenKind.CHOOSES)
def chosen(call: PatternCall) -> Sets | list[Sets]:
    """By a mask that is known an element is moved; by any other it may come from either."""
    try:
        return moved(call)
    except UnknownError:
        return pointwise(call)


@rule(AtenKind.REDUCES)
def reduced(call: PatternCall) -> list[Sets]:
    """Each result depends on all that it is reduced from."""
    name = next(name for name in ("self", "input") if name in call.arguments)
    call.only(name)
    sets, dims = call.sets(name), call["dim"]
    dims = range(sets.ids.dim()) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    union = sets.over(dims)
    return [Sets(union.ids.reshape(shape), union.table) for shape in call.shapes]


@rule(AtenKind.ALONG)
def along(call: PatternCall) -> list[Sets]:
    """Each result depends on everything along the dimension."""
    dim = call["dim"]
    union = together([sets.over([dim]) for sets in call.dependent])
    return [union.expand(shape) for shape in call.shapes]


@rule(AtenKind.CONTRACTS)
def contracted(call: PatternCall) -> Sets:
    """Entry ij depends on row i of the one factor and on column j of the other, whatever their numbers are."""
    operation = operation_of(call.operation)
    assert operation is not None
    if operation.summand is not None:  # which a trace takes apart
        raise UnknownError
    names = [argument.name for argument in call.operation._schema.arguments]
    rows, columns = (
        call.sets(names[factor.position]).over([factor.contracted])
        for factor in operation.factors
        if factor.contracted is not None
    )
    if operation.factors[1].rank == 1:
        rows, columns = (Sets(one.ids.reshape(one.ids.shape[:-1]), one.table) for one in (rows, columns))
    return together([rows, columns]).expand(call.shapes[0])
