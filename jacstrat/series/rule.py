"""What a rule is here: from a call whose arguments hold series, and the order K, to the series of its result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from jacstrat.series.series import Polynomial, Series
from jacstrat.tape.tape import leaves
from jacstrat.taylor.rule import Call, NotCovered

Rule = Callable[[Call, int], Any]


def one_argument(call: Call) -> Series:
    """The first argument, where it alone varies."""
    first, *others = call.args
    if not isinstance(first, Series) or any(isinstance(leaf, Series) for leaf in leaves(others)):
        raise NotCovered
    return first


def unary(coefficients: Callable[..., Polynomial]) -> Rule:
    """The rule of a function of the entries of its first argument.

    Args:
        coefficients: From (y_0, z, K, *the other arguments) to those of the result.
    """

    def apply(call: Call, K: int) -> Series | Tensor:
        v = one_argument(call)
        y = call.op(*(v.value, *call.args[1:]), **call.kwargs)
        return Series.of(y, coefficients(y, v.polynomial(y.dim()), K, *call.args[1:]))

    return apply
