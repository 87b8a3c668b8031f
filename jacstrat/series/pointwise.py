"""Functions of each entry: the recurrence of y' = g z', with g a series by itself or a function of y."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from jacstrat.series.polynomials import (
    carried,
    composed,
    derivative,
    integral,
    over,
    plus,
    power,
    scaled,
    solved,
    term,
    times,
)
from jacstrat.series.rule import SeriesRule, one_argument, unary
from jacstrat.series.series import Polynomial, TaylorSeries, polynomial_of, rank_of, value_of
from jacstrat.taylor.rule import TaylorCall

aten = torch.ops.aten


def _exp(y: Tensor, z: Polynomial, K: int) -> Polynomial:
    return solved(z, y, lambda y: y[-1], K)


def _exp2(y: Tensor, z: Polynomial, K: int) -> Polynomial:
    return solved(scaled(z, math.log(2)), y, lambda y: y[-1], K)


def _expm1(y: Tensor, z: Polynomial, K: int) -> Polynomial:
    return solved(z, y, lambda y: y[-1] if len(y) > 1 else z[0].exp(), K)


def _logarithm(base: float = math.e, shift: float = 0.0) -> Callable[..., Polynomial]:
    def log(y: Tensor, z: Polynomial, K: int) -> Polynomial:
        # z y' = z'.
        slope = over(derivative(z), [z[0] + shift, *z[1:]], K - 1) if len(z) > 1 else []
        return integral(y, slope if base == math.e else scaled(slope, 1 / math.log(base)))

    return log


def _tanh(y: Tensor, z: Polynomial, K: int) -> Polynomial:
    return solved(z, y, lambda y: _less_square(y, 1), K)


def _tan(y: Tensor, z: Polynomial, K: int) -> Polynomial:
    return solved(z, y, lambda y: -_less_square(y, -1), K)


def _less_square(y: Polynomial, number: float) -> Any:
    """(number - y^2)_k, k the degree of y."""
    square = term(y, y, len(y) - 1)
    return number - square if len(y) == 1 else -square


def _sigmoid(y: Tensor, z: Polynomial, K: int) -> Polynomial:
    return solved(z, y, lambda y: y[-1] - term(y, y, len(y) - 1), K)


def sigmoid_of(z: Polynomial, K: int) -> Polynomial:
    return _sigmoid(torch.sigmoid(z[0]), z, K)


def _log_sigmoid(y: Tensor, z: Polynomial, K: int) -> Polynomial:
    return carried(z, sigmoid_of(scaled(z, -1), K), y, K)


def _softplus(y: Tensor, z: Polynomial, K: int, beta: float, threshold: float) -> Polynomial:
    softplus = carried(z, sigmoid_of(scaled(z, beta), K), y, K)
    is_linear = beta * z[0] > threshold
    rest = (torch.where(is_linear, z[k] if k < len(z) else 0.0, part) for k, part in enumerate(softplus[1:], 1))
    return [y, *rest]


def _both(z: Polynomial, pair: tuple[Tensor, Tensor], sign: int, K: int) -> tuple[Polynomial, Polynomial]:
    """(a, b) with a' = b z' and b' = sign a z'."""
    a, b = [pair[0]], [pair[1]]
    dz = derivative(z)
    for k in range(1, K + 1 if dz else 1):
        a_k, b_k = term(b, dz, k - 1) / k, sign * term(a, dz, k - 1) / k
        a.append(a_k)
        b.append(b_k)
    return a, b


def _sin(y: Tensor, z: Polynomial, K: int) -> Polynomial:
    return _both(z, (y, z[0].cos()), -1, K)[0]


def _cos(y: Tensor, z: Polynomial, K: int) -> Polynomial:
    return _both(z, (z[0].sin(), y), -1, K)[1]


def _sinh(y: Tensor, z: Polynomial, K: int) -> Polynomial:
    return _both(z, (y, z[0].cosh()), 1, K)[0]


def _cosh(y: Tensor, z: Polynomial, K: int) -> Polynomial:
    return _both(z, (z[0].sinh(), y), 1, K)[1]


def _by_square(number: float, sign: int, exponent: float, factor: float = 1.0) -> Callable[..., Polynomial]:
    """y' = factor (number + sign z^2)^exponent z'."""

    def apply(y: Tensor, z: Polynomial, K: int) -> Polynomial:
        w = scaled(times(z, z, K), sign)
        w[0] = w[0] + number
        return carried(z, scaled(power(w, w[0] ** exponent, exponent, K - 1), factor), y, K)

    return apply


def _erf(sign: float) -> Callable[..., Polynomial]:
    def apply(y: Tensor, z: Polynomial, K: int) -> Polynomial:
        w = scaled(times(z, z, K - 1), -1)
        return carried(z, scaled(_exp(w[0].exp(), w, K - 1), sign * 2 / math.sqrt(math.pi)), y, K)

    return apply


def _power(y: Tensor, z: Polynomial, K: int, p: float) -> Polynomial:
    # By its derivatives, which are right where z is 0, too; small whole exponents by products.
    if p == 2:
        return times(z, z, K)
    return composed(z, _of_power(y, z[0], p, K), K)


def _of_power(y: Tensor, v: Tensor, p: Any, K: int) -> list[Any]:
    """The derivatives of v^p; a factor that is 0 cancels the pole beside it."""
    derivatives, factor = [y], 1.0
    for k in range(K):
        factor = factor * (p - k)
        if isinstance(factor, Tensor):
            is_none = factor == 0
            derivatives.append(factor * v ** torch.where(is_none, 0.0, p - k - 1))
        elif factor == 0:
            break
        else:
            derivatives.append(factor * v ** (p - k - 1))
    return derivatives


def _power_of_two(call: TaylorCall, K: int) -> Any:
    base, exponent = call.args
    y = call.op(value_of(base), value_of(exponent))
    rank = y.dim()
    if not isinstance(exponent, TaylorSeries):  # a tensor that does not vary
        return TaylorSeries.of(y, composed(base.polynomial(rank), _of_power(y, base.value, exponent, K), K))
    if isinstance(base, TaylorSeries):
        logarithm = _logarithm()(torch.log(base.value), base.polynomial(rank), K)
        return TaylorSeries.of(y, _exp(y, times(exponent.polynomial(rank), logarithm, K), K))
    log = torch.log(base) if isinstance(base, Tensor) else math.log(base) if base > 0 else math.nan
    return TaylorSeries.of(y, _exp(y, scaled(exponent.polynomial(rank), log), K))


def _atan2(call: TaylorCall, K: int) -> Any:
    # y' = (a' b - a b') / (a^2 + b^2).
    a, b = call.args
    rank = rank_of(a, b)
    p, q = polynomial_of(a, rank), polynomial_of(b, rank)
    parts = []
    if len(p) > 1:
        parts = times(derivative(p), q, K - 1)
    if len(q) > 1:
        other = scaled(times(p, derivative(q), K - 1), -1)
        parts = plus(parts, other) if parts else other
    slope = over(parts, plus(times(p, p, K - 1), times(q, q, K - 1)), K - 1)
    return TaylorSeries.of(call.op(value_of(a), value_of(b)), integral(call.op(value_of(a), value_of(b)), slope))


def _first_of_two(call: TaylorCall, K: int) -> Any:
    v = one_argument(call)
    y, *rest = call.op(v.value)
    return (TaylorSeries.of(y, _log_sigmoid(y, v.polynomial(v.value.dim()), K)), *rest)


POINTWISE: dict[Any, SeriesRule] = {
    aten.exp.default: unary(_exp),
    aten.exp2.default: unary(_exp2),
    aten.expm1.default: unary(_expm1),
    aten.log.default: unary(_logarithm()),
    aten.log2.default: unary(_logarithm(2.0)),
    aten.log10.default: unary(_logarithm(10.0)),
    aten.log1p.default: unary(_logarithm(shift=1.0)),
    aten.tanh.default: unary(_tanh),
    aten.tan.default: unary(_tan),
    aten.sigmoid.default: unary(_sigmoid),
    aten.softplus.default: unary(_softplus),
    aten.log_sigmoid_forward.default: _first_of_two,
    aten.sin.default: unary(_sin),
    aten.cos.default: unary(_cos),
    aten.sinh.default: unary(_sinh),
    aten.cosh.default: unary(_cosh),
    aten.atan.default: unary(_by_square(1, 1, -1.0)),
    aten.atanh.default: unary(_by_square(1, -1, -1.0)),
    aten.asin.default: unary(_by_square(1, -1, -0.5)),
    aten.acos.default: unary(_by_square(1, -1, -0.5, -1.0)),
    aten.asinh.default: unary(_by_square(1, 1, -0.5)),
    aten.acosh.default: unary(_by_square(-1, 1, -0.5)),
    aten.erf.default: unary(_erf(1.0)),
    aten.erfc.default: unary(_erf(-1.0)),
    aten.sqrt.default: unary(lambda y, z, K: power(z, y, 0.5, K)),
    aten.rsqrt.default: unary(lambda y, z, K: power(z, y, -0.5, K)),
    aten.reciprocal.default: unary(lambda y, z, K: over([1.0], z, K)),
    aten.pow.Tensor_Scalar: unary(_power),
    **dict.fromkeys((aten.pow.Tensor_Tensor, aten.pow.Scalar), _power_of_two),
    aten.atan2.default: _atan2,
}
