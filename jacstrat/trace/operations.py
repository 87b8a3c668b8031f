"""What each operation of ATen does with entries and axes, whatever the numbers are: one table, by name.

Whoever reads a tape or a graph derives from it: patterns of a Jacobian, sparse tangents, chains and networks. What only
one of them needs, such as a rule that takes jets to jets, it has itself. An operation that is not here is known by
torch's tag for pointwise ones, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch._ops import OpOverload


class AtenKind(Enum):
    """Where the entries of a result come from.

    MOVES: each from one place of the one tensor, or it is a number that fills up.
    PERMUTES: the same, axes in another order.
    RESHAPES: the same, axes merged and split; entries in their order.
    PICKS: the same, by a tensor of places along one axis.
    JOINS: each from one place of one of several tensors.
    OVERWRITES: the same, of a tensor of which a part is written over by another.
    REPLACES: all of a tensor is written over by another.
    CHOOSES: the same place of one tensor or the other, by a mask.
    STRIDES: anywhere in the storage.
    SCATTERS: of a source, to where a tensor says along one axis, for each entry.
    ACCUMULATES: the same, for each slice along the axis.
    PUTS: the same, by tensors of places along several axes.
    COPIES: the same place, as it is.
    POINTWISE: the same place of each argument, broadcast; beside those that torch tags so.
    FILLS: none of them, one number everywhere.
    REDUCES: all along the axes that an argument names, or along all.
    ALONG: the same, where the axes stay as long as they are.
    NORMALISES: all along as many last axes as an argument names sizes, which stay.
    CONTRACTS: of two factors, all along one axis of each, entry times entry.
    MULTIPLIES: of two factors, in some other way.
    CONVOLVES, CONVOLVES_BACK: a window, and all channels of a group; and what takes gradients back through that.
    MAPS: several, weighted; no more is known.
    """

    MOVES = auto()
    PERMUTES = auto()
    RESHAPES = auto()
    PICKS = auto()
    JOINS = auto()
    OVERWRITES = auto()
    REPLACES = auto()
    CHOOSES = auto()
    STRIDES = auto()
    SCATTERS = auto()
    ACCUMULATES = auto()
    PUTS = auto()
    COPIES = auto()
    POINTWISE = auto()
    FILLS = auto()
    REDUCES = auto()
    ALONG = auto()
    NORMALISES = auto()
    CONTRACTS = auto()
    MULTIPLIES = auto()
    CONVOLVES = auto()
    CONVOLVES_BACK = auto()
    MAPS = auto()


class Factor(NamedTuple):
    """One of the two tensors that a product is linear in.

    Fields:
        position: Among the arguments.
        contracted: The axis, from behind, that is summed over; None where there is none, or not one alone.
        rank: How many axes it has; None for any number.
    """

    position: int
    contracted: int | None = None
    rank: int | None = None


@dataclass(frozen=True)
class AtenOperation:
    """What all overloads of an operation do.

    Fields:
        kind: Where entries come from.
        is_linear: Whether it is linear, or affine, in all of its real tensors together; of a product, in each factor.
        factors: Those of a product; none for anything else.
        summand: The position of what is added to a product, which may be None; None where nothing is.
    """

    kind: AtenKind
    is_linear: bool = False
    factors: tuple[Factor, ...] = ()
    summand: int | None = None

    @property
    def has_matrix(self) -> bool:
        """Whether one factor is a matrix, the same for all rows of the other."""
        return any(factor.rank == 2 for factor in self.factors)


class Axes(NamedTuple):
    """Axes, from behind, that an operation takes together, and whether the result is without them."""

    axes: tuple[int, ...]
    is_dropped: bool = False


_LINEAR: Mapping[AtenKind, str] = {
    AtenKind.MOVES: """
        alias detach lift_fresh lift_fresh_copy expand squeeze unsqueeze slice select flip roll rot90 repeat unfold
        repeat_interleave split split_with_sizes unsafe_split unbind chunk diagonal diag_embed tril triu constant_pad_nd
        index _unsafe_index take pixel_shuffle pixel_unshuffle channel_shuffle
    """,
    AtenKind.PERMUTES: "permute transpose t",
    AtenKind.RESHAPES: "view _unsafe_view reshape",
    AtenKind.PICKS: "gather index_select",
    AtenKind.JOINS: "cat stack",
    AtenKind.OVERWRITES: "slice_scatter select_scatter diagonal_scatter",
    AtenKind.REPLACES: "copy",
    AtenKind.SCATTERS: "scatter_add",
    AtenKind.ACCUMULATES: "index_add index_copy",
    AtenKind.COPIES: "clone _to_copy positive",
    AtenKind.REDUCES: "sum mean",
    AtenKind.ALONG: "cumsum",
    AtenKind.MAPS: """
        trace reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d avg_pool1d avg_pool2d
        _adaptive_avg_pool2d upsample_nearest1d upsample_nearest2d
    """,
}
# Not linear, or not in every overload: a scatter may multiply, what strides reads beyond its tensor.
_OTHER: Mapping[AtenKind, str] = {
    AtenKind.CHOOSES: "where masked_fill",
    AtenKind.STRIDES: "as_strided as_strided_scatter",
    AtenKind.SCATTERS: "scatter scatter_reduce",
    AtenKind.ACCUMULATES: "index_reduce",
    AtenKind.PUTS: "index_put _unsafe_index_put",
    AtenKind.POINTWISE: """
        hardtanh_backward _conj _conj_physical real imag hardswish _prelu_kernel log_sigmoid_forward special_i0
        special_i1 special_erfcx
    """,
    AtenKind.FILLS: "fill",
    AtenKind.REDUCES: """
        prod amax amin max min logsumexp linalg_vector_norm norm var std var_mean std_mean nansum median nanmedian mode
        kthvalue aminmax
    """,
    AtenKind.ALONG: """
        _softmax _log_softmax cumprod logcumsumexp cummax cummin sort topk _softmax_backward_data
        _log_softmax_backward_data
    """,
    AtenKind.NORMALISES: "native_layer_norm",
    AtenKind.CONVOLVES_BACK: "convolution_backward",
}


def _product(left: Factor, right: Factor, summand: int | None = None) -> AtenOperation:
    return AtenOperation(AtenKind.CONTRACTS, is_linear=True, factors=(left, right), summand=summand)


_PRODUCTS: Mapping[str, AtenOperation] = {
    "mm": _product(Factor(0, -1, 2), Factor(1, -2, 2)),
    "bmm": _product(Factor(0, -1, 3), Factor(1, -2, 3)),
    "mv": _product(Factor(0, -1, 2), Factor(1, -1, 1)),
    "dot": _product(Factor(0, -1, 1), Factor(1, -1, 1)),
    # Of a complex factor it takes the conjugate.
    "vdot": AtenOperation(AtenKind.CONTRACTS, is_linear=False, factors=(Factor(0, -1, 1), Factor(1, -1, 1))),
    "addmm": _product(Factor(1, -1, 2), Factor(2, -2, 2), summand=0),
    "addmv": _product(Factor(1, -1, 2), Factor(2, -1, 1), summand=0),
    "baddbmm": _product(Factor(1, -1, 3), Factor(2, -2, 3), summand=0),
    "linear": _product(Factor(0, -1), Factor(1, -1, 2), summand=2),
    "convolution": AtenOperation(AtenKind.CONVOLVES, is_linear=True, factors=(Factor(0), Factor(1)), summand=2),
    "cross": AtenOperation(AtenKind.MULTIPLIES, is_linear=True, factors=(Factor(0), Factor(1))),
    "kron": AtenOperation(AtenKind.MULTIPLIES, is_linear=True, factors=(Factor(0), Factor(1))),
}


def rows() -> Iterator[tuple[str, AtenOperation]]:
    """What stands in the table, each name once."""
    for is_linear, names_by_kind in ((True, _LINEAR), (False, _OTHER)):
        for kind, names in names_by_kind.items():
            for name in names.split():
                yield name, AtenOperation(kind, is_linear)
    yield from _PRODUCTS.items()


# By the name without an overload: "sum" for aten::sum.dim_IntList.
OPERATIONS: Mapping[str, AtenOperation] = MappingProxyType(dict(rows()))

aten = torch.ops.aten


def operation_of(op: Any) -> AtenOperation | None:
    """What an operation does; None where the table does not know, as for a custom Function."""
    # Other bits are no entries that were there before.
    if not isinstance(op, OpOverload) or op.namespace != "aten" or op is aten.view.dtype:
        return None
    return OPERATIONS.get(op._schema.name.removeprefix("aten::"))


def is_default(op: Any) -> bool:
    """Whether it is the overload of the name alone, which takes tensors and gives them their own dtype."""
    return isinstance(op, OpOverload) and op._overloadname == "default"


def is_pointwise(op: Any) -> bool:
    """Whether each entry of the result depends on one entry of each argument, broadcast."""
    operation = operation_of(op)
    is_known = operation is not None and operation.kind in (AtenKind.COPIES, AtenKind.POINTWISE)
    return is_known or torch.Tag.pointwise in getattr(op, "tags", ())


def only_moves(op: Any) -> bool:
    """Whether the entries of the result are those of its first argument, elsewhere."""
    operation = operation_of(op)
    return operation is not None and operation.kind in (AtenKind.MOVES, AtenKind.PERMUTES, AtenKind.RESHAPES)


def is_random(op: Any) -> bool:
    """Whether an operation draws random numbers."""
    return torch.Tag.nondeterministic_seeded in getattr(op, "tags", ())


def takes_shapes_only(op: Any) -> bool:
    """Whether an operation does not look at numbers: zeros_like, rand_like, new_full, ..."""
    name = getattr(op, "_opname", "")
    return name.endswith("_like") or name.startswith("new_")


def axes_of(op: Any, args: tuple[Any, ...], rank: int) -> Axes | None:
    """What an operation takes together of its first argument.

    Args:
        op: An overload of an operation along axes.
        args: All positional arguments, in their places.
        rank: Of the first argument.

    Returns:
        The axes, or None where the operation is of another kind, or the overload names none.
    """
    operation = operation_of(op)
    if operation is None or operation.kind not in (AtenKind.REDUCES, AtenKind.ALONG, AtenKind.NORMALISES):
        return None
    named = {argument.name: one for argument, one in zip(op._schema.arguments, args, strict=False)}
    if operation.kind is AtenKind.NORMALISES:
        return Axes(tuple(range(-len(named["normalized_shape"]), 0)))
    if "dim" not in named or (operation.kind is AtenKind.REDUCES and "keepdim" not in named):
        return None
    dim = named["dim"]
    axes = range(-rank, 0) if dim is None or dim == [] else [dim] if isinstance(dim, int) else dim
    is_dropped = operation.kind is AtenKind.REDUCES and not named["keepdim"]
    return Axes(tuple(axis - rank if axis >= 0 else axis for axis in axes), is_dropped)
