"""Stages of a weight that is another one at each point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jacstrat.core.errors import ShapeError, UnsupportedError, UsageError
from jacstrat.core.operator import is_array
from jacstrat.strategies.products import functional_gradient
from jacstrat.strategies.weights.factors import least_of
from jacstrat.strategies.weights.numbers import block, near
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
        A = near(torch.as_tensor(A), x)
        is_constant = is_array(self.weight) and tuple(A.shape) in ((n,), (n, n))
        is_diagonal = A.dim() == (1 if is_constant else len(lead) + 1)
        A = block(A, self.S, is_diagonal)
        return A.expand(*lead, *A.shape[-1 if is_diagonal else -2 :])

    def _given(self, point: Tensor, rest: Sequence[Any]) -> Any:
        if is_array(self.weight):
            return self.weight
        try:
            return self.weight(point, *rest)
        except (TypeError, RuntimeError, ValueError, IndexError) as error:
            text = " ".join(str(error).split())[:200]
            raise UsageError(f"the weight, which is called as f is, raises {type(error).__name__}: {text}") from error

    def result(self, result: Tensor) -> Tensor:
        return result


@dataclass(frozen=True, eq=False)
class AlongRowFactors(RowWeight):
    """z -> u(x + s z), or (z, y) -> u(x + s z) - u(x + t y), with s and t of each point: two halves where A has any."""

    def function(self, f: Function) -> Function:
        def along(z: Tensor, x: Tensor, s: Tensor, t: Tensor, *args: Any) -> Tensor:
            n = x.shape[-1]
            moved = f(x + _applied(s, z[..., :n]), *args)
            return moved if z.shape[-1] == n else moved - f(x + _applied(t, z[..., n:]), *args)

        return along

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        A = self.at(x, args)
        if torch.is_grad_enabled() and A.requires_grad:
            raise UnsupportedError("a weight that is differentiated is not factorised; use jvp, for one real output")
        is_diagonal = A.dim() == x.dim()
        value, Q = (A, None) if is_diagonal else torch.linalg.eigh((A + A.mT) / 2)
        roots = [(sign * value).clamp_min(0).sqrt() for sign in (1, -1)]
        s, t = roots if Q is None else [Q * root.unsqueeze(-2) for root in roots]
        # Where a point has inf or nan the others are as they are.
        least = least_of(value.abs().nan_to_num(0, 0), A.dtype)
        is_definite = A.is_meta or not bool((value < (0 if is_diagonal else -least)).any())
        return x.new_zeros(*x.shape[:-1], (1 if is_definite else 2) * x.shape[-1]), (x, s, t, *args)


def _applied(s: Tensor, z: Tensor) -> Tensor:
    return s * z if s.dim() == z.dim() else (s @ z.unsqueeze(-1)).squeeze(-1)


@dataclass(frozen=True, eq=False)
class WeightedRows(RowWeight):
    """A f, or A grad u, A held."""

    is_gradient: bool

    def function(self, f: Function) -> Function:
        field = functional_gradient(f) if self.is_gradient else f

        def weighed(x: Tensor, A: Tensor, *args: Any) -> Tensor:
            y = field(x, *args)
            return _applied(A, y)

        return weighed

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        return x, (self.at(x, args), *args)
