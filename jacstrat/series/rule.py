"""What a rule is here: from a call whose arguments hold series, and the order K, to the series of its result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from jacstrat.series.series import Polynomial, TaylorSeries
from jacstrat.taylor.rule import NotCovered, TaylorCall
from jacstrat.trace.tape import leaves

SeriesRule = Callable[[TaylorCall, int], Any]


def one_argument(call: TaylorCall) -> TaylorSeries:
    """The first argument, where it alone varies."""
    first, *others = call.args
    if not isinstance(first, TaylorSeries) or any(isinstance(leaf, TaylorSeries) for leaf in leaves(others)):
        raise NotCovered
    return first


def unary(coefficients: Callable[..., Polynomial]) -> SeriesRule:
    """The rule of a function of the entries of its first argument.

    Args:
        coefficients: From (y_0, z, K, *the other arguments) to those of the result.
    """

    def apply(call: TaylorCall, K: int) -> TaylorSeries | Tensor:
        v = one_argument(call)
        y = call.op(*(v.value, *call.args[1:]), **call.kwargs)
        return TaylorSeries.of(y, coefficients(y, v.polynomial(y.dim()), K, *call.args[1:]))

    return apply
