"""Stages of a weight that is the same at all points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jacstrat.strategies.weights.numbers import WeightNumbers
from jacstrat.strategies.weights.sparse import SparseRows
from jacstrat.trace.arguments import Args, Function


@dataclass(frozen=True, eq=False)
class ConstantWeight:
    """A stage that a constant weight gives; it leaves the points and the result as they are."""

    weight: Any
    numbers: WeightNumbers
    dtype: torch.dtype
    device: torch.device

    def is_stale(self, x: Tensor) -> bool:
        """Whether the weight has other numbers than when this was made, or it was made for other points."""
        if x.dtype != self.dtype or x.device != self.device:
            return True
        return not self.numbers.are_those_of(self.weight)

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        return x, args

    def result(self, result: Tensor) -> Tensor:
        return result


@dataclass(frozen=True, eq=False)
class ScaledField(ConstantWeight):
    """d * f."""

    d: Tensor

    def function(self, f: Function) -> Function:
        d = self.d
        return lambda x, *args: f(x, *args) * d


@dataclass(frozen=True, eq=False)
class MixedField(ConstantWeight):
    """A f."""

    A: Tensor

    def function(self, f: Function) -> Function:
        A = self.A
        return lambda x, *args: f(x, *args) @ A.mT


@dataclass(frozen=True, eq=False)
class SparseField(ConstantWeight):
    """A f, A of few entries a row."""

    A: SparseRows

    def function(self, f: Function) -> Function:
        A = self.A
        return lambda x, *args: A.applied(f(x, *args))


@dataclass(frozen=True, eq=False)
class SparsePoints(ConstantWeight):
    """z -> u(x + L z), at z = 0, L of few entries a row."""

    L: SparseRows

    def function(self, f: Function) -> Function:
        L = self.L
        return lambda z, x, *args: f(x + L.applied(z), *args)

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        return torch.zeros_like(x), (x, *args)


@dataclass(frozen=True, eq=False)
class BetweenFactors(ConstantWeight):
    """z -> V^T f(x + U z), at z = 0."""

    U: Tensor
    V: Tensor

    def function(self, f: Function) -> Function:
        U, V = self.U, self.V
        return lambda z, x, *args: f(x + z @ U.mT, *args) @ V

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        return x.new_zeros(*x.shape[:-1], self.U.shape[1]), (x, *args)


@dataclass(frozen=True, eq=False)
class ScaledPoints(ConstantWeight):
    """z -> u(x + s * z), at z = 0: each coordinate stays by itself, and a sparse Hessian as it is."""

    s: Tensor

    def function(self, f: Function) -> Function:
        s = self.s
        return lambda z, x, *args: f(x + s * z, *args)

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        return torch.zeros_like(x), (x, *args)


@dataclass(frozen=True, eq=False)
class AlongFactors(ConstantWeight):
    """z -> u(x + s z), at z = 0; with t, (z, y) -> u(x + s z) - u(x + t y)."""

    s: Tensor
    t: Tensor

    def function(self, f: Function) -> Function:
        s, t = self.s, self.t
        r = s.shape[1]
        if t.shape[1] == 0:
            return lambda z, x, *args: f(x + z @ s.mT, *args)
        if r == 0:
            return lambda z, x, *args: -f(x + z @ t.mT, *args)
        return lambda z, x, *args: f(x + z[..., :r] @ s.mT, *args) - f(x + z[..., r:] @ t.mT, *args)

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        r = self.s.shape[1] + self.t.shape[1]
        return x.new_zeros(*x.shape[:-1], r), (x, *args)
