"""Sums, products and quotients: tangents by the product rule, and the cross term 2 sum_k in the Laplacian."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jacstrat.taylor.jet import Jet, aligned, plus, shaped, sum_of_squares, value_of
from jacstrat.taylor.rule import Rule, TaylorCall, always, handed_on, only_one


def _parts(argument: Any, rank: int) -> tuple[Tensor | None, Tensor | None]:
    """Tangents, behind as many axes as the result has, and Laplacian; None for both where it does not depend on x."""
    if not isinstance(argument, Jet):
        return None, None
    t = argument.tangents
    return (None if t is None else aligned(t, rank)), argument.laplacian


def _times(part: Tensor | None, factor: Any) -> Tensor | None:
    return None if part is None else part * factor


def _sum(call: TaylorCall) -> Jet:
    """a + alpha b, and a - alpha b."""
    a, b = call.args[:2]
    sign = -1 if call.op is aten.sub.Tensor else 1
    factor = sign * call.kwargs.get("alpha", 1)
    y = call.op(value_of(a), value_of(b), **call.kwargs)
    ta, la = _parts(a, y.dim())
    tb, lb = _parts(b, y.dim())
    if factor != 1:
        tb, lb = _times(tb if call.wants_tangents else None, factor), _times(lb, factor)
    tangents = _added(call, ta, tb) if call.wants_tangents else None
    laplacian = shaped(plus(la, lb), y)
    if tangents is ta and isinstance(a, Jet) and not isinstance(b, Jet):
        return Jet(y, tangents, laplacian, handed_on(call, a, tangents))
    if tangents is tb and isinstance(b, Jet) and not isinstance(a, Jet):
        return Jet(y, tangents, laplacian, factor != 1 or handed_on(call, b, tangents))
    return Jet(y, tangents, laplacian, owned=True)


def _added(call: TaylorCall, ta: Tensor | None, tb: Tensor | None) -> Tensor | None:
    """The sum, into the tangents of the first argument where these are needed no more."""
    a = call.args[0]
    if ta is None or tb is None or not (call.may_overwrite and a.owned and a is not call.args[1]):
        return plus(ta, tb)
    fits = ta.shape == torch.broadcast_shapes(ta.shape, tb.shape) and ta.dtype == tb.dtype
    return ta.add_(tb) if fits else ta + tb


def _product(call: TaylorCall) -> Jet:
    a, b = call.args[:2]
    y = call.op(value_of(a), value_of(b))
    if a is b:
        laplacian = plus(_times(a.laplacian, 2 * a.value), 2 * sum_of_squares(a.tangents))
        tangents = a.tangents * (2 * a.value) if call.wants_tangents else None
        return Jet(y, tangents, shaped(laplacian, y), owned=True)
    if not (isinstance(a, Jet) and isinstance(b, Jet)):
        v, factor = (a, b) if isinstance(a, Jet) else (b, a)
        t, laplacian = _parts(v, y.dim())
        if not call.wants_tangents:
            tangents = None
        elif call.may_overwrite and v.owned and t is not None and t.shape[1:] == y.shape and t.dtype == y.dtype:
            tangents = t.mul_(factor)
        else:
            tangents = _times(t, factor)
        return Jet(y, tangents, shaped(_times(laplacian, factor), y), owned=True)
    (ta, la), (tb, lb) = _parts(a, y.dim()), _parts(b, y.dim())
    assert ta is not None
    assert tb is not None
    laplacian = plus(plus(_times(la, b.value), _times(lb, a.value)), 2 * (ta * tb).sum(0))
    tangents = ta * b.value + tb * a.value if call.wants_tangents else None
    return Jet(y, tangents, shaped(laplacian, y), owned=True)


def _quotient(call: TaylorCall) -> Jet:
    # y b = a: y' = (a' - y b')/b, y'' = (a'' - y b'' - 2 y' b')/b.
    a, b = call.args[:2]
    y = call.op(value_of(a), value_of(b))
    b_value = value_of(b)
    if isinstance(b_value, Tensor) and not b_value.is_floating_point():
        b_value = b_value.to(y.dtype)  # else its inverse would be of the default dtype
    inverse = 1 / b_value
    (ta, la), (tb, lb) = _parts(a, y.dim()), _parts(b, y.dim())
    if not isinstance(b, Jet):
        tangents = _times(ta, inverse) if call.wants_tangents else None
        return Jet(y, tangents, shaped(_times(la, inverse), y), owned=True)
    assert tb is not None
    tangents = plus(_times(ta, inverse), tb * (-y * inverse))
    assert tangents is not None
    curvature = plus(_times(lb, -y), -2 * (tangents * tb).sum(0))
    laplacian = _times(plus(la, curvature), inverse)
    return Jet(y, tangents if call.wants_tangents else None, shaped(laplacian, y), owned=True)


def _joined(call: TaylorCall) -> Jet:
    """cat and stack: where one tensor does not depend on x its derivatives are zero."""
    tensors, axis = call.args
    values = [value_of(tensor) for tensor in tensors]
    y = call.op(values, axis)
    axis = axis - y.dim() if axis >= 0 else axis
    laplacian = tangents = None
    if any(isinstance(v, Jet) and v.laplacian is not None for v in tensors):
        parts = [v.laplacian if isinstance(v, Jet) else None for v in tensors]
        laplacian = call.op([_or_zeros(part, value) for part, value in zip(parts, values, strict=True)], axis)
    if call.wants_tangents:
        K = next(v for v in tensors if isinstance(v, Jet)).directions
        full = [v.full() if isinstance(v, Jet) else v.new_zeros(()).expand(K, *v.shape) for v in tensors]
        tangents = call.op(full, axis)
    return Jet(y, tangents, laplacian, owned=True)


def _or_zeros(part: Tensor | None, value: Tensor) -> Tensor:
    return torch.zeros_like(value) if part is None else part


def _chosen(call: TaylorCall) -> Jet:
    """where(condition, a, b)."""
    condition, a, b = map(value_of, call.args)
    y = call.op(condition, a, b)
    zero = y.new_zeros(())
    (ta, la), (tb, lb) = (_parts(argument, y.dim()) for argument in call.args[1:])

    def choose(p: Tensor | None, q: Tensor | None) -> Tensor | None:
        if p is None and q is None:
            return None
        return torch.where(condition, zero if p is None else p, zero if q is None else q)

    return Jet(y, choose(ta, tb) if call.wants_tangents else None, shaped(choose(la, lb), y), owned=True)


aten = torch.ops.aten

PRODUCTS: dict[Any, Rule] = {
    **dict.fromkeys((aten.add.Tensor, aten.sub.Tensor), Rule(_sum, always)),
    aten.mul.Tensor: Rule(_product, only_one),
    aten.div.Tensor: Rule(_quotient, lambda arguments: not arguments[1]),
    **dict.fromkeys((aten.cat.default, aten.stack.default), Rule(_joined, always)),
    aten.where.self: Rule(_chosen, always, is_piecewise=True),
}
