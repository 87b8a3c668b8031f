"""Several numbers of one function as rows of its own: for k of them the rows of x are taken k times, each for one.

So what serves (B, n) -> (B,) serves the m outputs of (B, n) -> (B, m) in one batch, at m times the cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from jacstrat.core.operator import Operator, is_array
from jacstrat.strategies.weights.numbers import array_of
from jacstrat.trace.arguments import Args, Function, repeated

# From results, and the row of the identity that says which number is wanted of each.
Wanted = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Copies:
    """The rows of x so many times, and behind the arguments which number is wanted in each.

    Fields:
        count: How many times.
        is_point: Whether x is a single point, of which the copies are taken one by one.
    """

    count: int
    is_point: bool

    @classmethod
    def of(cls, count: int, x: Tensor) -> Copies:
        """The copies of x."""
        return cls(count, x.dim() == 1)

    def function(self, f: Function, pick: Wanted) -> Function:
        """f of the copies, of each the number that is wanted."""
        is_point = self.is_point

        def one_of(x: Tensor, *args: Any) -> Tensor:
            *rest, which = args
            if not is_point or x.dim() == 1:
                return pick(f(x, *rest), which)
            return torch.stack([pick(f(row, *rest), unit) for row, unit in zip(x, which, strict=True)])

        return one_of

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        """The copies, one of all rows after the other, and the arguments."""
        which = torch.eye(self.count, dtype=x.dtype, device=x.device)
        if self.is_point:
            return x.repeat(self.count, 1), (*args, which)
        return x.repeat(self.count, 1), (*repeated(x, args, self.count), which.repeat_interleave(len(x), 0))

    def weighed(self, operator: Operator, x: Tensor) -> Operator:
        """The operator, its weight at x that of the copies; which number is wanted is nothing that it is told."""
        weight, count, lead = operator.weight, self.count, x.shape[:-1]
        if weight is None or isinstance(weight, str | tuple):
            return operator
        if not is_array(weight):
            return replace(operator, weight=lambda x, *args: weight(x, *args[:-1]))
        if (
            self.is_point
            or tuple(weight.shape[: -1 if weight.ndim == 2 else -2]) != tuple(lead)
            or _is_matrix(weight, x)
        ):
            return operator

        def of_copies(x: Tensor, *args: Any) -> Tensor:
            A = array_of(weight)
            return A.expand(count, *A.shape).flatten(0, 1)

        return replace(operator, weight=of_copies)

    def beside(self, result: Tensor) -> Tensor:
        """Results of the copies, the numbers along the first axis: (count, B, ...), or (count, ...) for a point."""
        return result if self.is_point else result.unflatten(0, (self.count, -1))


def _is_matrix(weight: Any, x: Tensor) -> bool:
    """Whether a weight is one matrix for all points; (n, n) is, of n points of n coordinates, too."""
    return tuple(weight.shape) == (x.shape[-1], x.shape[-1])


def output(y: Tensor, which: Tensor) -> Tensor:
    """One of the outputs of each row, (rows, m) -> (rows,)."""
    return (y * which).sum(-1)
