"""The product of the entries along an axis, as a tree of products of two: no division, so that zeros do no harm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jacstrat.taylor.jet import Jet
from jacstrat.taylor.rule import NotCovered, Rule, TaylorCall, others_than_first


def _along_axis(call: TaylorCall) -> Jet:
    v, (axis, keepdim) = call.args[0], others_than_first(call)
    if v.value.dim() == 0 or v.value.shape[axis] == 0:
        raise NotCovered
    y = call.op(v.value, axis, keepdim, **call.kwargs)
    axis = axis - v.value.dim() if axis >= 0 else axis
    laplacian = None if v.laplacian is None else v.laplacian.movedim(axis, -1)
    parts = _halved(v.value.movedim(axis, -1), v.full(axis).movedim(axis, -1), laplacian)
    tangents, laplacian = (part if part is None or not keepdim else part.unsqueeze(axis) for part in parts)
    return Jet(y, tangents, None if laplacian is None else laplacian.expand(y.shape))


def _of_all(call: TaylorCall) -> Jet:
    v = call.args[0]
    if v.value.numel() == 0:
        raise NotCovered
    y = call.op(v.value, **call.kwargs)
    laplacian = None if v.laplacian is None else v.laplacian.flatten()
    return Jet(y, *_halved(v.value.flatten(), v.full().flatten(1), laplacian))


def _halved(v: Tensor, t: Tensor, laplacian: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Tangents and Laplacian of the product along the last axis, by products of its first half with its second."""
    while (size := v.shape[-1]) > 1:
        half = size // 2
        (a, b, odd), (ta, tb, t_odd) = _parted(v, half), _parted(t, half)
        bend = 2 * (ta * tb).sum(0)
        l_odd: Tensor | None = None
        if laplacian is not None:
            la, lb, l_odd = _parted(laplacian, half)
            bend = bend + la * b + lb * a
        v, t, laplacian = a * b, ta * b + tb * a, bend
        if odd.shape[-1]:
            rest = t_odd.new_zeros(()).expand(odd.shape) if l_odd is None else l_odd
            v, t = torch.cat((v, odd), -1), torch.cat((t, t_odd.expand(*t.shape[:-1], 1)), -1)
            laplacian = torch.cat((bend.expand(odd.shape[:-1] + bend.shape[-1:]), rest), -1)
    return t.squeeze(-1), None if laplacian is None else laplacian.squeeze(-1)


def _parted(part: Tensor, half: int) -> tuple[Tensor, Tensor, Tensor]:
    """The first half, the second, and what is left of an odd number."""
    return part[..., :half], part[..., half : 2 * half], part[..., 2 * half :]


aten = torch.ops.aten

PROD: dict[Any, Rule] = {aten.prod.dim_int: Rule(_along_axis), aten.prod.default: Rule(_of_all)}
