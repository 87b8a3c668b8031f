"""Functions of each entry alone: y = s(v), tangents s' t, Laplacian s' l + s'' sum_k t_k^2."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from jacstrat.taylor.jet import Jet, aligned, shaped, sum_of_squares, value_of
from jacstrat.taylor.rule import Rule, TaylorCall, always, handed_on

aten = torch.ops.aten

# (y, s', s''), of which s' may be a number and s'' is None where it vanishes.
Derivatives = tuple[Tensor, Tensor | float, Tensor | float | None]


def pointwise(derivatives: Callable[..., Derivatives]) -> Rule:
    """The rule of a function of the entries of one argument, from (op, *args, **kwargs) to its derivatives."""
    return Rule(_applied(derivatives))


def piecewise(derivatives: Callable[..., Derivatives]) -> Rule:
    """The same for a function that is linear between points of no measure."""
    return Rule(_applied(derivatives), always, is_piecewise=True)


def shift(derivatives: Callable[..., Derivatives]) -> Rule:
    """The same for a function that is linear but for a constant."""
    return Rule(_applied(derivatives), always)


def _applied(derivatives: Callable[..., Derivatives]) -> Callable[[TaylorCall], Jet]:
    def apply(call: TaylorCall) -> Jet:
        (v,) = (argument for argument in call.args if isinstance(argument, Jet))
        return propagated(call, v, *derivatives(call.op, *map(value_of, call.args), **call.kwargs))

    return apply


def propagated(call: TaylorCall, v: Jet, y: Tensor, first: Tensor | float, second: Tensor | float | None) -> Jet:
    """The jet of s(v) from its value and derivatives, which may be of a larger shape than v."""
    laplacian = None if v.laplacian is None else v.laplacian * first
    tangents, owned = None, True
    if second is not None or call.wants_tangents:
        assert v.tangents is not None
        t = aligned(v.tangents, y.dim())
        if second is not None:
            laplacian = _bent(laplacian, second, sum_of_squares(t))
        if call.wants_tangents and type(first) is float and first == 1:
            tangents, owned = t, handed_on(call, v, t)
        elif call.wants_tangents:
            in_place = call.may_overwrite and v.owned and t.shape[1:] == y.shape and t.dtype == y.dtype
            tangents = t.mul_(first) if in_place else t * first
    return Jet(y, tangents, shaped(laplacian, y), owned)


def _bent(slope: Tensor | None, second: Tensor | float, squares: Tensor) -> Tensor:
    """slope + second * squares, in one operation where it can be."""
    if slope is None or not isinstance(second, Tensor):
        bend = second * squares
        return bend if slope is None else slope + bend
    return torch.addcmul(slope, second, squares)


def _tanh(call: TaylorCall) -> Jet:
    # s' = 1 - y^2, s'' = -2 y s', so that l' = s' (l - 2 y sum_k t_k^2). One operation multiplies by s', never stored.
    v = call.args[0]
    y = call.op(v.value)
    squares = sum_of_squares(v.tangents)
    bend = y * (-2 * squares) if v.laplacian is None else torch.addcmul(v.laplacian, y, squares, value=-2)
    tangents = None
    if call.wants_tangents:
        if call.may_overwrite and v.owned and v.tangents.shape[1:] == y.shape:
            tangents = aten.tanh_backward.grad_input(v.tangents, y, grad_input=v.tangents)
        else:
            tangents = aten.tanh_backward.default(v.tangents, y)
    return Jet(y, tangents, aten.tanh_backward.default(bend, y), owned=True)


def _sigmoid(op: Any, v: Tensor) -> Derivatives:
    y = op(v)
    first = y * (1 - y)
    return y, first, first * (1 - 2 * y)


def _exp(op: Any, v: Tensor) -> Derivatives:
    y = op(v)
    return y, y, y


def _sin(op: Any, v: Tensor) -> Derivatives:
    y = op(v)
    return y, v.cos(), -y


def _cos(op: Any, v: Tensor) -> Derivatives:
    y = op(v)
    return y, -v.sin(), -y


def _log(op: Any, v: Tensor) -> Derivatives:
    first = 1 / v
    return op(v), first, -first * first


def _sqrt(op: Any, v: Tensor) -> Derivatives:
    y = op(v)
    first = 0.5 / y
    return y, first, -0.5 * first / v


def _rsqrt(op: Any, v: Tensor) -> Derivatives:
    y = op(v)
    first = -0.5 * y / v
    return y, first, -1.5 * first / v


def _reciprocal(op: Any, v: Tensor) -> Derivatives:
    y = op(v)
    first = -y * y
    return y, first, -2 * first * y


def _silu(op: Any, v: Tensor) -> Derivatives:
    # s = v p, p the sigmoid: s' = p + v p', s'' = 2 p' + v p'', p' = p (1 - p), p'' = p' (1 - 2 p).
    p = torch.sigmoid(v)
    slope = p * (1 - p)
    return op(v), p + v * slope, slope * (2 + v * (1 - 2 * p))


def _gelu(op: Any, v: Tensor, *, approximate: str = "none") -> Derivatives:
    if approximate == "tanh":
        # s = v (1 + T)/2, T = tanh w, w = a (v + b v^3).
        a, b = math.sqrt(2 / math.pi), 0.044715
        squared = v * v
        T = torch.tanh(a * v * (1 + b * squared))
        slope, bend = a * (1 + 3 * b * squared), 6 * a * b * v
        first = (1 - T * T) * slope
        second = (1 - T * T) * bend - 2 * T * first * slope
        return op(v, approximate=approximate), 0.5 * (1 + T + v * first), first + 0.5 * v * second
    # s = v P, P' = p the normal density: s' = P + v p, s'' = p (2 - v^2).
    P = 0.5 * torch.erfc(-v * math.sqrt(0.5))
    p = torch.exp(-0.5 * v * v) * (1 / math.sqrt(2 * math.pi))
    return op(v, approximate=approximate), P + v * p, p * (2 - v * v)


def _power(op: Any, v: Tensor, exponent: float) -> Derivatives:
    # The exponents 0, 1 and 2 apart, as v^(p - 1) and v^(p - 2) have a pole at 0 that their factor does not cancel.
    p = exponent
    y = op(v, p)
    if p == 0:
        return y, 0.0, None
    if p == 1:
        return y, 1.0, None
    if p == 2:
        return y, 2 * v, 2.0
    return y, p * v ** (p - 1), p * (p - 1) * v ** (p - 2)


def _relu(op: Any, v: Tensor) -> Derivatives:
    return op(v), (v > 0).to(v.dtype), None


def _abs(op: Any, v: Tensor) -> Derivatives:
    return op(v), v.sign(), None


def _plus_number(op: Any, v: Tensor, number: float, alpha: float) -> Derivatives:
    return op(v, number, alpha), 1.0, None


def _from_number(op: Any, v: Tensor, number: float, alpha: float) -> Derivatives:
    return op(v, number, alpha), -float(alpha), None


POINTWISE: dict[Any, Rule] = {
    aten.tanh.default: Rule(_tanh),
    aten.sigmoid.default: pointwise(_sigmoid),
    aten.exp.default: pointwise(_exp),
    aten.sin.default: pointwise(_sin),
    aten.cos.default: pointwise(_cos),
    aten.log.default: pointwise(_log),
    aten.sqrt.default: pointwise(_sqrt),
    aten.rsqrt.default: pointwise(_rsqrt),
    aten.reciprocal.default: pointwise(_reciprocal),
    aten.silu.default: pointwise(_silu),
    aten.gelu.default: pointwise(_gelu),
    aten.pow.Tensor_Scalar: pointwise(_power),
    aten.relu.default: piecewise(_relu),
    **dict.fromkeys((aten.add.Scalar, aten.sub.Scalar), shift(_plus_number)),
    aten.rsub.Scalar: shift(_from_number),
    aten.abs.default: piecewise(_abs),
}
