"""A truncated Taylor series of a tensor along D directions, and the form in which rules calculate with it.

For v(x) and directions d, v(x + s d) = v_0 + v_1 s + v_2 s^2 + ... + O(s^(K + 1)). The value v_0 is the same for all
directions and is there once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jacstrat.taylor.jet import Jet, aligned

# Coefficients in their order, the first without the axis of the directions; what is missing at the end is zero.
Polynomial = list[Any]


class TaylorSeries:
    """A value and its Taylor coefficients along D directions.

    Fields:
        value: v_0, of any shape.
        tail: v_1, v_2, ..., (k, D, ...) with the axes of v behind; an axis along which they do not change may have
            length 1. Coefficients behind the last are zero.
    """

    __slots__ = ("tail", "value")

    def __init__(self, value: Tensor, tail: Tensor) -> None:
        self.value = value
        # Two types meet where one tensor has no axes: the value's decides.
        self.tail = tail if tail.dtype == value.dtype else tail.to(value.dtype)

    @classmethod
    def of(cls, value: Tensor, polynomial: Polynomial) -> TaylorSeries | Tensor:
        """The series with the tail of a polynomial; the value alone where it has none."""
        tail = polynomial[1:]
        if not tail:
            return value
        shape = torch.broadcast_shapes(*(part.shape for part in tail))
        return cls(value, torch.stack([part.expand(shape) for part in tail]))

    @property
    def directions(self) -> int:
        """D."""
        return self.tail.shape[1]

    def polynomial(self, rank: int) -> Polynomial:
        """The coefficients, to be broadcast with those of a value of this rank."""
        return [self.value, *(aligned(part, rank) for part in self.tail.unbind(0))]

    def full(self) -> TaylorSeries:
        """The same with all axes at their full length."""
        return TaylorSeries(self.value, self.tail.expand(*self.tail.shape[:2], *self.value.shape))

    def jet(self, degree: int) -> Jet:
        """The coefficients up to the degree as tangents (degree D, ...), as a linear operation takes either."""
        tail, missing = self.tail, degree - len(self.tail)
        if missing:
            tail = torch.cat((tail, tail.new_zeros(()).expand(missing, *tail.shape[1:])))
        return Jet(self.value, tail.flatten(0, 1))


def from_jet(jet: Any, directions: int) -> Any:
    """The series that `TaylorSeries.jet` made a jet of; what is no jet as it is."""
    if not isinstance(jet, Jet) or jet.tangents is None:
        return jet
    return TaylorSeries(jet.value, jet.tangents.unflatten(0, (-1, directions)))


def value_of(argument: Any) -> Any:
    """The value of a series, of those in nested tuples and lists; anything else as it is."""
    if isinstance(argument, (tuple, list)):
        return type(argument)(map(value_of, argument))
    return argument.value if isinstance(argument, TaylorSeries) else argument


def rank_of(*arguments: Any) -> int:
    """Axes of what arguments are broadcast to."""
    return max(v.dim() if isinstance(v := value_of(a), Tensor) else 0 for a in arguments)


def polynomial_of(argument: Any, rank: int) -> Polynomial:
    """The coefficients of an argument, the number or tensor alone where it does not vary."""
    return argument.polynomial(rank) if isinstance(argument, TaylorSeries) else [argument]
