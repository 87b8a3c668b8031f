"""Rules of the operations that read and write by index tensors."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from jacstrat.structure.rules import ArgumentSlot, PatternCall, UnknownError, moved, rule
from jacstrat.structure.sets import NONE, Sets, aligned, together, unite_groups
from jacstrat.trace.operations import AtenKind


@rule(AtenKind.PICKS)
def read(call: PatternCall) -> Sets | list[Sets]:
    """By a known index elements are moved; by an unknown one each may come from anywhere along the dimension."""
    try:
        return moved(call)
    except UnknownError:
        union, shape = call.sets("self").over([call["dim"]]), call.shapes[0]
        # The index of a gather may be smaller than the source along the other dimensions.
        part = union.ids[tuple(slice(0, size) for size in shape)]
        return Sets(part, union.table).expand(shape)


@rule(AtenKind.SCATTERS)
def scattered(call: PatternCall) -> Sets:
    """Element src[i] goes to where index[i] says along the dimension."""
    dim, index = call["dim"], call["index"]
    combined = bool(call["reduce"]) or call.operation.name().startswith("aten::scatter_add")
    source = call.sets("src") if isinstance(call["src"], ArgumentSlot) else Sets.constant(index.shape, call.n)
    source = Sets(source.ids[tuple(slice(0, size) for size in index.shape)], source.table)
    try:
        return _written(call, source, lambda places: places.gather(dim, index.value()), combined)
    except UnknownError:
        return together([call.sets("self"), source.over([dim])])


@rule(AtenKind.ACCUMULATES)
def added(call: PatternCall) -> Sets:
    """Slice i of the source goes to slice index[i] of self."""
    combined = not call.operation.name().startswith("aten::index_copy")
    index, source = call["index"], call.sets("source")
    return _written(call, source, lambda places: places.index_select(call["dim"], index.value()), combined)


@rule(AtenKind.PUTS)
def put(call: PatternCall) -> Sets:
    """values[i] goes to self[indices][i]."""
    indices = [None if slot is None else slot.value() for slot in call["indices"]]
    return _written(
        call, call.sets("values"), lambda places: torch.ops.aten.index(places, indices), bool(call["accumulate"])
    )


def _written(call: PatternCall, source: Sets, find: Callable[[Tensor], Tensor], combined: bool) -> Sets:
    """The union of what is written to each place, and of what was there before where it is combined with that.

    Where several are written to one place and not combined, any of them may be the last.
    """
    target = call.sets("self")
    shape = target.ids.shape
    places = find(torch.arange(math.prod(shape), device="cpu").reshape(shape))
    (before, after), table = aligned([target, source])
    before = before.reshape(-1).clone()
    if not combined:
        before[places.reshape(-1)] = NONE
    groups = torch.cat([torch.arange(len(before), device="cpu"), places.reshape(-1)])
    ids = torch.cat([before, after.expand(places.shape).reshape(-1)])
    united, table = unite_groups(groups.numpy(), ids.numpy(), len(before), table)
    return Sets(torch.from_numpy(united).reshape(shape), table)
