"""Stages of a weight that is another one at each point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jacstrat.core.errors import ShapeError, UnsupportedError, UsageError
from jacstrat.core.operator import is_array
from jacstrat.strategies.products import gradient_of
from jacstrat.strategies.weights.numbers import block, near, real_numbers
from jacstrat.strategies.weights.row_factors import square_roots_of_rows
from jacstrat.torch_errors import is_no_error
from jacstrat.trace.arguments import Args, Function


@dataclass(frozen=True, eq=False)
class RowWeight:
    """A weight of its own at each point, which is found for all of them before they are taken in parts."""

    weight: Any
    S: tuple[int, ...] | None

    def at(self, x: Tensor, args: Args) -> Tensor:
        """A at each point: (B, n) or (B, n, n)."""
        # Behind coordinates the weight is of the whole point, which is the first further argument.
        point, *rest = (x, *args) if self.S is None else args
        lead, n = tuple(point.shape[:-1]), point.shape[-1]
        A = self._given(point, rest)
        each = ((*lead, n), (*lead, n, n))
        fits = each if not is_array(self.weight) else (*each, (n,), (n, n))
        if not is_array(A) or tuple(A.shape) not in fits:
            got = tuple(A.shape) if is_array(A) else type(A).__name__
            verb = "have" if is_array(self.weight) else "give"
            raise ShapeError(
                f"the weight must {verb} {each[0]} or {each[1]} for x of shape {tuple(point.shape)}, got {got}"
            )
        A = near(real_numbers(A, x.is_meta), x)
        is_constant = is_array(self.weight) and tuple(A.shape) in ((n,), (n, n))
        is_diagonal = A.dim() == (1 if is_constant else len(lead) + 1)
        A = block(A, self.S, is_diagonal)
        return A.expand(*lead, *A.shape[-1 if is_diagonal else -2 :])

    def _given(self, point: Tensor, rest: Sequence[Any]) -> Any:
        if is_array(self.weight):
            return self.weight
        try:
            return self.weight(point, *rest)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            if is_no_error(error):
                raise
            text = " ".join(str(error).split())[:200]
            raise UsageError(f"the weight, which is called as f is, raises {type(error).__name__}: {text}") from error

    def result(self, result: Tensor) -> Tensor:
        return result


@dataclass(frozen=True, eq=False)
class AlongRowFactors(RowWeight):
    """z -> u(x + s z), or (z, y) -> u(x + s z) - u(x + t y), with s and t of each point; t perhaps without columns."""

    def function(self, f: Function) -> Function:
        def along(z: Tensor, x: Tensor, s: Tensor, t: Tensor, *args: Any) -> Tensor:
            r = s.shape[-1]
            if t.shape[-1] == 0:
                return f(x + _applied(s, z), *args)
            if r == 0:
                return -f(x + _applied(t, z), *args)
            return f(x + _applied(s, z[..., :r]), *args) - f(x + _applied(t, z[..., r:]), *args)

        return along

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        A = self.at(x, args)
        if torch.is_grad_enabled() and A.requires_grad:
            raise UnsupportedError("a weight that is differentiated is not factorised; use jvp")
        if A.dim() == x.dim():
            factors: tuple[Tensor, ...] = tuple((sign * A).clamp_min(0).sqrt() for sign in (1, -1))
            if A.is_meta or not bool((A < 0).any()):
                factors = factors[0], x.new_zeros(*x.shape[:-1], 0)
        else:
            factors = square_roots_of_rows(A)
        return x.new_zeros(*x.shape[:-1], sum(one.shape[-1] for one in factors)), (x, *factors, *args)


def _applied(s: Tensor, z: Tensor) -> Tensor:
    return s * z if s.dim() == z.dim() else (s @ z.unsqueeze(-1)).squeeze(-1)


@dataclass(frozen=True, eq=False)
class WeightedRows(RowWeight):
    """A f, or A grad u, A held."""

    is_gradient: bool

    def function(self, f: Function) -> Function:
        def weighed(x: Tensor, A: Tensor, *args: Any) -> Tensor:
            # By plain autograd where nobody transforms, which passes a checkpoint in f.
            y = gradient_of(f, x, args) if self.is_gradient else f(x, *args)
            return _applied(A, y)

        return weighed

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        return x, (self.at(x, args), *args)
