"""Products of two varying factors, by the convolution of their coefficients, and quotients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from jacstrat.series.polynomials import over, plus, scaled, times
from jacstrat.series.rule import SeriesRule
from jacstrat.series.series import Polynomial, TaylorSeries, polynomial_of, rank_of, value_of
from jacstrat.taylor.rule import TaylorCall

aten = torch.ops.aten


def _product(call: TaylorCall, K: int) -> Any:
    a, b = call.args
    rank = rank_of(a, b)
    y = call.op(value_of(a), value_of(b))
    return TaylorSeries.of(y, times(polynomial_of(a, rank), polynomial_of(b, rank), K, value=y))


def _quotient(call: TaylorCall, K: int) -> Any:
    a, b = call.args
    rank = rank_of(a, b)
    y = call.op(value_of(a), value_of(b))
    return TaylorSeries.of(y, over(polynomial_of(a, rank), polynomial_of(b, rank), K))


def _whole(argument: Any) -> Polynomial:
    """The coefficients with all axes at full length, as matrices are multiplied."""
    v = argument.full() if isinstance(argument, TaylorSeries) else argument
    return polynomial_of(v, rank_of(v))


def _matrices(a: Any, b: Any, K: int) -> Polynomial:
    return times(_whole(a), _whole(b), K, torch.matmul)


def _apart(argument: Any, axis: int) -> Any:
    """An argument with one more axis of length 1 at the end, or before the last."""
    if not isinstance(argument, TaylorSeries):
        return argument.unsqueeze(axis)
    v = argument.full()
    return TaylorSeries(v.value.unsqueeze(axis), v.tail.unsqueeze(axis))


def _vector(a: Any, b: Any, K: int) -> Polynomial:
    return [part.squeeze(-1) for part in _matrices(a, _apart(b, -1), K)]


def _dot(a: Any, b: Any, K: int) -> Polynomial:
    return [part.sum(-1) for part in times(_whole(a), _whole(b), K)]


def _of_two(product: Callable[[Any, Any, int], Polynomial]) -> SeriesRule:
    def apply(call: TaylorCall, K: int) -> Any:
        a, b = call.args
        return TaylorSeries.of(call.op(value_of(a), value_of(b)), product(a, b, K))

    return apply


def _and_sum(product: Callable[[Any, Any, int], Polynomial]) -> SeriesRule:
    """beta c + alpha a b."""

    def apply(call: TaylorCall, K: int) -> Any:
        c, a, b = call.args
        y = call.op(value_of(c), value_of(a), value_of(b), **call.kwargs)
        scaled_product = scaled(product(a, b, K), call.kwargs.get("alpha", 1))
        return TaylorSeries.of(y, plus(scaled_product, scaled(polynomial_of(c, y.dim()), call.kwargs.get("beta", 1))))

    return apply


def _layer(call: TaylorCall, K: int) -> Any:
    """x W^T + b."""
    v, weight, bias = call.args
    y = call.op(value_of(v), value_of(weight), value_of(bias))
    weight = TaylorSeries(weight.value.mT, weight.full().tail.mT) if isinstance(weight, TaylorSeries) else weight.mT
    weighted = _layered(_whole(v), _whole(weight), K)
    return TaylorSeries.of(y, weighted if bias is None else plus(weighted, polynomial_of(bias, y.dim())))


def _layered(v: Polynomial, weight: Polynomial, K: int) -> Polynomial:
    """Coefficients of points of any number of axes times those of a matrix, each with the directions in front."""
    missing = v[0].dim() - 2
    if missing < 0:  # a point
        return [part.squeeze(-2) for part in times([part.unsqueeze(-2) for part in v], weight, K, torch.matmul)]

    def multiply(p: Tensor, q: Tensor) -> Tensor:
        return torch.matmul(p, q.reshape(*q.shape[:-2], *(1,) * missing, *q.shape[-2:]))

    return times(v, weight, K, multiply)


PRODUCTS: dict[Any, SeriesRule] = {
    aten.mul.Tensor: _product,
    aten.div.Tensor: _quotient,
    **dict.fromkeys((aten.mm.default, aten.bmm.default), _of_two(_matrices)),
    aten.mv.default: _of_two(_vector),
    aten.dot.default: _of_two(_dot),
    **dict.fromkeys((aten.addmm.default, aten.baddbmm.default), _and_sum(_matrices)),
    aten.addmv.default: _and_sum(_vector),
    aten.linear.default: _layer,
}
