"""Linear operations act on value, tangents and Laplacian alike; the tangents have one more axis in front.

An axis is named from behind here, so that it is the same for both. An axis of length 1, where tangents do not depend on
the point, is kept as it is by an operation that only moves it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from jacstrat.taylor.jet import Jet, aligned, full, value_of
from jacstrat.taylor.rule import Rule, TaylorCall, always, handed_on, others_than_first
from jacstrat.trace.record import revalued

# From (op, v, the other arguments, y) to the operation on the tangents of v.
Lift = Callable[[Any, Jet, tuple[Any, ...], Any], Any]


def linear(lift: Lift, of_derivatives: Callable[..., tuple[Any, ...]] | None = None, op: Any = None) -> Rule:
    """The rule of an operation that is linear in its first argument.

    Args:
        lift: The operation on tangents.
        of_derivatives: The other arguments when it acts on derivatives; left out where they are the same.
        op: Another operation that does the same with any strides.
    """

    def apply(call: TaylorCall) -> Any:
        act = partial(op or call.op, **call.kwargs) if call.kwargs else op or call.op
        v, others = call.args[0], others_than_first(call)
        y = act(v.value, *others)
        if of_derivatives is not None:
            others = of_derivatives(*others)
        laplacian = None if v.laplacian is None else act(v.laplacian, *others)
        tangents = lift(act, v, others, y) if call.wants_tangents else None
        if isinstance(y, Tensor):
            return Jet(y, tangents, laplacian, handed_on(call, v, tangents))
        nothing = (None,) * len(y)
        v.owned = False
        return tuple(map(Jet, y, tangents or nothing, laplacian or nothing))

    return Rule(apply, always)


def behind(axis: int, rank: int) -> int:
    """The axis counted from behind."""
    return axis - rank if axis >= 0 else axis


def along(position: int) -> Lift:
    """The lift of an operation along the axis, or axes, that the argument at this position behind the first names."""

    def lift(act: Any, v: Jet, others: tuple[Any, ...], y: Any) -> Any:
        rank, named = v.value.dim(), others[position]
        if rank == 0:
            return _each(act, v, others, y)
        if isinstance(named, int):
            axes: Any = behind(named, rank)
            touched: tuple[int, ...] = (axes,)
        else:
            axes = [behind(axis, rank) for axis in named] if named else list(range(-rank, 0))
            touched = tuple(axes)
        return act(v.full(*touched), *others[:position], axes, *others[position + 1 :])

    return lift


def _each(act: Any, v: Jet, others: tuple[Any, ...], y: Any) -> Any:
    """Any linear operation, by its own batching rule."""
    return torch.func.vmap(lambda t: act(t, *others))(v.full())


def _shared(act: Any, v: Jet, others: tuple[Any, ...], y: Tensor) -> Tensor | None:
    """Nothing to do: tangents are never written to unless they are owned."""
    return v.tangents


def _entrywise(act: Any, v: Jet, others: tuple[Any, ...], y: Tensor) -> Tensor:
    return act(v.tangents, *others)


def _reshaped(act: Any, v: Jet, others: tuple[Any, ...], y: Tensor) -> Tensor:
    assert v.tangents is not None
    shape, new = v.value.shape, y.shape
    # Leading axes that stay as they are may have length 1 in the tangents.
    same = 0
    while same < min(len(shape), len(new)) and shape[same] == new[same]:
        same += 1
    merged = tuple(range(same - len(shape), 0))
    t = full(v.tangents, shape, merged) if merged else v.tangents
    return t.reshape(*t.shape[: same + 1], *new[same:])


def _expanded(act: Any, v: Jet, others: tuple[Any, ...], y: Tensor) -> Tensor:
    assert v.tangents is not None
    return aligned(v.tangents, y.dim())


def _permuted(act: Any, v: Jet, others: tuple[Any, ...], y: Tensor) -> Tensor:
    assert v.tangents is not None
    return v.tangents.permute(0, *(1 + axis % y.dim() for axis in others[0]))


def _transposed(act: Any, v: Jet, others: tuple[Any, ...], y: Tensor) -> Tensor:
    assert v.tangents is not None
    rank = y.dim()
    return v.tangents.transpose(behind(others[0], rank), behind(others[1], rank)) if rank else v.tangents


def _matrix_transposed(act: Any, v: Jet, others: tuple[Any, ...], y: Tensor) -> Tensor:
    assert v.tangents is not None
    return v.tangents.transpose(-2, -1) if y.dim() == 2 else v.tangents


def _unsqueezed(act: Any, v: Jet, others: tuple[Any, ...], y: Tensor) -> Tensor:
    assert v.tangents is not None
    return v.tangents.unsqueeze(behind(others[0], y.dim()))


def _squeezed(act: Any, v: Jet, others: tuple[Any, ...], y: Tensor) -> Tensor:
    assert v.tangents is not None
    rank = v.value.dim()
    named = others[0] if others else range(rank)
    axes = [behind(axis, rank) for axis in ([named] if isinstance(named, int) else named)]
    return v.tangents.squeeze([axis for axis in axes if rank and v.value.shape[axis] == 1])


def _over_all(act: Any, v: Jet, others: tuple[Any, ...], y: Tensor) -> Tensor:
    """The sum or mean of all entries, as that along one axis."""
    return torch.func.vmap(act)(v.full())


def _written_over(call: TaylorCall) -> Jet:
    """copy(v, source), the source in the shape of v, which is forgotten."""
    v, source, *_ = call.args
    # Not by the operation, of which torch has no derivative.
    y = value_of(source).to(value_of(v).dtype).expand(value_of(v).shape)
    if not isinstance(source, Jet):
        return Jet(y, torch.zeros_like(v.full()) if call.wants_tangents else None)
    laplacian = None if source.laplacian is None else source.laplacian.to(y.dtype).expand(y.shape)
    source.owned = False
    assert source.tangents is not None or not call.wants_tangents
    return Jet(y, aligned(source.tangents, y.dim()) if source.tangents is not None else None, laplacian)


def _revalued(call: TaylorCall) -> Jet:
    """Numbers that were written past autograd, and derivatives as they were."""
    v, numbers = call.args
    assert isinstance(v, Jet)
    v.owned = False
    # Past autograd for the leaves of f, too: their gradient is that of v.
    value = value_of(numbers).detach() + (v.value - v.value.detach())
    return Jet(value, v.tangents if call.wants_tangents else None, v.laplacian)


def _indexed(act: Any, v: Jet, others: tuple[Any, ...], y: Tensor) -> Tensor:
    """The result's axis stands in place of the indexed ones only where these are neighbours; else vmap finds it."""
    (indices,) = others
    axes = [number for number, index in enumerate(indices) if index is not None]
    if axes != list(range(axes[0], axes[-1] + 1)):
        return _each(act, v, others, y)
    rank = v.value.dim()
    return act(v.full(*(number - rank for number in axes)), [None, *indices])


aten = torch.ops.aten

LINEAR: dict[Any, Rule] = {
    **dict.fromkeys((aten.alias.default, aten.detach.default, aten.clone.default), linear(_shared)),
    **dict.fromkeys((aten.neg.default, aten._to_copy.default), linear(_entrywise)),
    **dict.fromkeys((aten.mul.Scalar, aten.div.Scalar), linear(_entrywise)),
    **dict.fromkeys((aten.view.default, aten._unsafe_view.default), linear(_reshaped, op=aten.reshape.default)),
    aten.copy.default: Rule(_written_over, always),
    revalued: Rule(_revalued, always),
    aten.expand.default: linear(_expanded),
    aten.permute.default: linear(_permuted),
    aten.transpose.int: linear(_transposed),
    aten.t.default: linear(_matrix_transposed),
    aten.unsqueeze.default: linear(_unsqueezed),
    **dict.fromkeys((aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims), linear(_squeezed)),
    **dict.fromkeys((aten.sum.default, aten.mean.default), linear(_over_all)),
    **dict.fromkeys((aten.sum.dim_IntList, aten.mean.dim, aten.select.int, aten.slice.Tensor), linear(along(0))),
    **dict.fromkeys((aten.cumsum.default, aten.unbind.int, aten.flip.default), linear(along(0))),
    aten.index_select.default: linear(along(0)),
    **dict.fromkeys((aten.split.Tensor, aten.split_with_sizes.default), linear(along(1))),
    aten.index.Tensor: linear(_indexed),
    # These put a number into places: its derivative is 0.
    aten.masked_fill.Scalar: linear(_each, of_derivatives=lambda mask, value: (mask, 0)),
    aten.constant_pad_nd.default: linear(_each, of_derivatives=lambda pad, value: (pad, 0)),
    **dict.fromkeys(
        (
            aten.roll.default,
            aten.gather.default,
            aten.diagonal.default,
            aten.tril.default,
            aten.triu.default,
            aten.repeat.default,
            aten.unfold.default,
            aten.avg_pool2d.default,
            aten._adaptive_avg_pool2d.default,
        ),
        linear(_each),
    ),
}
