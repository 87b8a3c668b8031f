"""Hutchinson's estimator of a trace, and that of Bekas, Kokiopoulou and Saad of a diagonal."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from jacstrat.core.errors import ShapeError, UsageError
from jacstrat.core.operator import Operator
from jacstrat.strategies.base import Args, Function, Strategy, positive_or_all
from jacstrat.strategies.contraction import Contraction, Estimate
from jacstrat.strategies.draws import (
    DISTRIBUTIONS,
    Distribution,
    check_choice,
    check_probes,
    draw,
    entries_by,
    estimated,
    linearised,
    rate_of,
    refuse_nested,
)
from jacstrat.strategies.probes import ChunkSize, products_of
from jacstrat.strategies.products import PRODUCTS, Linearised, ProductMode


@dataclass(frozen=True)
class Hutchinson(Strategy):
    """The mean of v^T J v over random probes v with E[v v^T] = I, own ones for each point; fresh ones at each call.

    With fixed=true they are drawn once, in prepare, as flow models do, and serve that number of points only. The
    standard error is s / sqrt K, s the sample standard deviation of the K values; one probe has none. The diagonal is
    sum v * (J v) / sum v * v. Source: Hutchinson 1990, doi:10.1080/03610919008812866, with Girard 1989; for the
    diagonal Bekas, Kokiopoulou, Saad 2007, doi:10.1016/j.apnum.2007.01.003.
    """

    name: ClassVar[str] = "hutchinson"
    cost: ClassVar[str] = "K VJP or JVP, batched; K = probes"
    exact_when: ClassVar[str] = "on average; J diagonal with rademacher probes"
    probes: int = 16
    distribution: Distribution = "rademacher"
    fixed: bool = False
    product: ProductMode = "reverse"
    chunk_size: ChunkSize = "all"

    def __post_init__(self) -> None:
        check_probes(self.probes, 1)
        check_choice("distribution", self.distribution, DISTRIBUTIONS)
        if not isinstance(self.fixed, bool):
            raise UsageError(f"fixed must be true or false, got {self.fixed!r}")
        check_choice("product", self.product, PRODUCTS)
        positive_or_all("chunk_size", self.chunk_size)

    @property
    def stochastic(self) -> bool:
        return True

    @property
    def draws_first(self) -> bool:
        return self.fixed

    @property
    def claimed_rate(self) -> float | None:
        return rate_of(self.probes)

    def refuse(self, operator: Operator) -> str | None:
        return refuse_nested(operator)

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        probes, is_looped = self._probes(x, generator), 1 in (self.probes, self.chunk_size)

        def terms(linear: Linearised, x: Tensor) -> tuple[Tensor, Tensor]:
            """v and v * (J v) of each probe, (K, ..., n)."""
            V = probes(x)
            return V, V * products_of(linear, V, self.chunk_size)

        if operator.is_trace:

            def values(linear: Linearised, x: Tensor) -> Tensor:
                return terms(linear, x)[1].sum(-1)

            return estimated(self.product, operator, f, self.chunk_size, values, is_looped)
        linearise = linearised(self.product, operator, f, is_looped)
        return Contraction(
            lambda x, *args: _ratio(*terms(linearise(x, *args), x)),
            lambda x, *args: _diagonal(*terms(linearise(x, *args), x)),
            entries=entries_by(linearised(self.product, operator, f), self.chunk_size),
        )

    def _probes(self, x: Tensor, generator: torch.Generator | None) -> Callable[[Tensor], Tensor]:
        if not self.fixed:
            return lambda x: draw(self.distribution, self.probes, x, generator)
        V = draw(self.distribution, self.probes, x, generator)

        def fixed(x: Tensor) -> Tensor:
            if x.shape != V.shape[1:]:
                raise ShapeError(
                    f"fixed probes were drawn for x of shape {tuple(V.shape[1:])}, got {tuple(x.shape)}; prepare again"
                )
            return V

        return fixed


def _ratio(V: Tensor, terms: Tensor) -> Tensor:
    """sum v * (J v) / sum v * v: entry i is J_ii + sum_j J_ij (sum_k v_ki v_kj / sum_k v_ki^2), the second term odd in
    v_i, so that its mean is 0."""
    return terms.sum(0) / V.square().sum(0)


def _diagonal(V: Tensor, terms: Tensor) -> Estimate:
    """The ratio, and its standard error from the residuals r_k = v_k * (J v_k) - d * v_k^2.

    sqrt(K / (K - 1) sum r_k^2) / sum v_k^2; s / sqrt K where all v_k^2 are 1.
    """
    value, count = _ratio(V, terms), len(V)
    if count == 1:
        return Estimate(value)
    residuals = (terms - value * V.square()).detach()
    spread = torch.linalg.vector_norm(residuals, dim=0) * math.sqrt(count / (count - 1))
    return Estimate(value, spread / V.square().sum(0))
