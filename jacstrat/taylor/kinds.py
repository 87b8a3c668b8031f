"""What operations do with the axes of what depends on x, as far as sparse tangents go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from jacstrat.trace import Node


class Named(NamedTuple):
    """Axes (negative) that an operation takes together, and whether they are gone behind it."""

    axes: tuple[int, ...]
    is_dropped: bool = False


def axes_of(node: Node, position: int, rank: int) -> Named | None:
    """What an operation takes together of the argument at this position; None where that is not known."""
    args = node.args
    if node.op in CONTRACTED:
        axis = CONTRACTED[node.op].get(position)
        return None if axis is None else Named((axis,))
    if position != 0:
        return None
    if node.op is aten.native_layer_norm.default:
        return Named(tuple(range(-len(args[1]), 0)))
    if node.op not in REDUCED:
        return None
    at, keeps_at = REDUCED[node.op]
    named = args[at]
    axes = range(-rank, 0) if named is None or named == [] else [named] if isinstance(named, int) else named
    found = tuple(axis - rank if axis >= 0 else axis for axis in axes)
    return Named(found, keeps_at is not None and not args[keeps_at])


aten = torch.ops.aten

# Operations that put entries in other places, and fill up with 0.
MOVES = frozenset(
    (
        *(aten.alias.default, aten.detach.default, aten.clone.default, aten.view.default, aten._unsafe_view.default),
        *(aten.expand.default, aten.permute.default, aten.transpose.int, aten.t.default, aten.unsqueeze.default),
        *(aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims, aten.select.int, aten.slice.Tensor),
        *(aten.unbind.int, aten.flip.default, aten.index_select.default, aten.split.Tensor),
        *(aten.split_with_sizes.default, aten.index.Tensor, aten.constant_pad_nd.default, aten.roll.default),
        *(aten.gather.default, aten.diagonal.default, aten.tril.default, aten.triu.default, aten.repeat.default),
        aten.unfold.default,
    )
)
JOINS = frozenset((aten.cat.default, aten.stack.default))
# Those on each entry that torch does not call pointwise, too.
ENTRYWISE = frozenset(
    (aten.neg.default, aten._to_copy.default, aten.mul.Scalar, aten.div.Scalar, aten.masked_fill.Scalar)
)
SUMS = frozenset((aten.sum.dim_IntList, aten.mean.dim))
# Where the axes stand among the arguments, and whether they are kept; None where they are in any case.
REDUCED: Mapping[Any, tuple[int, int | None]] = {
    aten.sum.dim_IntList: (1, 2),
    aten.mean.dim: (1, 2),
    aten.logsumexp.default: (1, 2),
    aten.linalg_vector_norm.default: (2, 3),
    aten.prod.dim_int: (1, 2),
    aten._softmax.default: (1, None),
    aten._log_softmax.default: (1, None),
    aten.cumsum.default: (1, None),
}
# The axis that a product sums over, by the position of the factor that depends on x.
CONTRACTED: Mapping[Any, Mapping[int, int]] = {
    aten.mm.default: {0: -1, 1: -2},
    aten.bmm.default: {0: -1, 1: -2},
    aten.addmm.default: {1: -1, 2: -2},
    aten.baddbmm.default: {1: -1, 2: -2},
    aten.linear.default: {0: -1},
}
