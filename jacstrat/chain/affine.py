"""Which operations are linear, and with which coefficients those are that act on each entry alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from jacstrat.trace import Node, Slot, bound

aten = torch.ops.aten


def _all(*names: str) -> frozenset[Any]:
    """Every overload of these."""
    packets = (getattr(aten, name) for name in names)
    return frozenset(getattr(packet, overload) for packet in packets for overload in packet.overloads())


# Linear, or affine, in all of their real tensors together.
LINEAR = _all(
    *("view", "_unsafe_view", "reshape", "alias", "detach", "lift_fresh", "expand", "permute", "transpose", "t"),
    *("unsqueeze", "squeeze", "select", "slice", "flip", "roll", "rot90", "cat", "stack", "unbind", "split"),
    *("split_with_sizes", "unsafe_split", "index_select", "index", "_unsafe_index", "gather", "take", "repeat"),
    *("constant_pad_nd", "diagonal", "diag_embed", "tril", "triu", "unfold", "copy", "slice_scatter", "trace"),
    *("select_scatter", "diagonal_scatter", "index_add", "scatter_add", "index_copy", "sum", "mean", "cumsum"),
    *("reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d", "avg_pool1d", "avg_pool2d"),
    *("_adaptive_avg_pool2d", "upsample_nearest1d", "upsample_nearest2d", "pixel_shuffle", "pixel_unshuffle"),
) - {aten.view.dtype}
# Linear in each of two tensors, or affine in one: a map where one alone depends on x.
BILINEAR = _all("mm", "bmm", "mv", "dot", "addmm", "addmv", "baddbmm", "linear", "convolution", "cross", "kron")
# Pointwise, and not tagged so by torch.
POINTWISE = _all("hardswish", "_prelu_kernel", "log_sigmoid_forward", "special_i0", "special_i1", "special_erfcx")

# From the constants by slot to the coefficient.
Coefficient = Callable[[list[Any]], "Tensor | float"]

_SAME = {aten.clone.default, aten.add.Scalar, aten.sub.Scalar, aten._to_copy.default, aten.positive.default}


def is_pointwise(op: Any) -> bool:
    """Whether each entry of the result depends on one entry of each argument, broadcast."""
    return torch.Tag.pointwise in getattr(op, "tags", ()) or op in POINTWISE or op is aten._to_copy.default


def coefficient(node: Node, slot: int, varying: set[int]) -> Coefficient | None:
    """The derivative of a pointwise operation in an argument, where it does not depend on the point; else None.

    Args:
        node: The operation.
        slot: Of the argument.
        varying: Slots that depend on x.
    """
    op, args = node.op, node.args
    places = [place for place, a in enumerate(args) if isinstance(a, Slot) and a.place == slot]
    alpha = float(node.kwargs.get("alpha", 1))
    if op in _SAME:
        return lambda _: 1.0
    if op is aten.neg.default:
        return lambda _: -1.0
    if op in (aten.add.Tensor, aten.sub.Tensor):
        second = alpha if op is aten.add.Tensor else -alpha
        return lambda _: sum(second if place else 1.0 for place in places)
    if op is aten.rsub.Scalar:
        return lambda _: -float(args[2])
    others = [a for place, a in enumerate(args) if place not in places]
    if len(places) != 1 or any(isinstance(a, Slot) and a.place in varying for a in others):
        return None
    if op in (aten.mul.Tensor, aten.mul.Scalar):
        return lambda constants: bound(others[0], constants)
    if op in (aten.div.Tensor, aten.div.Scalar) and places == [0]:
        return lambda constants: 1 / bound(others[0], constants)
    return None
