"""Hutch++: the trace on the range of a random sketch exactly, and Hutchinson's estimate of the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from jacstrat.core.operator import Operator
from jacstrat.strategies.base import Args, Function, Strategy
from jacstrat.strategies.contraction import Contraction
from jacstrat.strategies.draws import (
    check_budget,
    columns,
    draw,
    estimated,
    orthonormal,
    rate_of,
    refuse_but_traces,
    rows,
)
from jacstrat.strategies.probes import ChunkSize, products_of, unit_diagonal
from jacstrat.strategies.products import Linearised, ProductMode


@dataclass(frozen=True)
class HutchPlusPlus(Strategy):
    """tr(Q^T J Q), Q an orthonormal basis of J S for random S, and the mean of g^T (I - Q Q^T) J (I - Q Q^T) g.

    `probes` is the budget of products m: m // 3 for the sketch J S, as many for J Q, and the rest for the probes g. The
    standard error is that of the second part; the first has none. With m >= n the n unit vectors cost no more and are
    exact, so they are used. Source: Meyer, Musco, Musco, Woodruff 2021, doi:10.1137/1.9781611976496.16, algorithm 1.
    """

    name: ClassVar[str] = "hutch++"
    cost: ClassVar[str] = "m VJP or JVP, batched; m = probes"
    exact_when: ClassVar[str] = "on average; the rank of J is at most m // 3, or m >= n"
    probes: int = 16
    product: ProductMode = "reverse"
    chunk_size: ChunkSize = "all"

    def __post_init__(self) -> None:
        check_budget(self.probes, 3, self.product, self.chunk_size)

    @property
    def stochastic(self) -> bool:
        return True

    @property
    def claimed_rate(self) -> float | None:
        return rate_of(self.probes - 2 * (self.probes // 3))

    def refuse(self, operator: Operator) -> str | None:
        return refuse_but_traces(operator)

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        size = self.probes // 3

        def values(apply: Linearised, x: Tensor) -> Tensor:
            """tr(Q^T J Q) + g~^T J g~, g~ = (I - Q Q^T) g, for each probe g."""
            if self.probes >= x.shape[-1]:
                return unit_diagonal(apply, x, self.chunk_size).sum(-1).unsqueeze(0)
            S, G = draw("rademacher", self.probes - size, x, generator).tensor_split([size])
            with torch.no_grad():
                Q, _ = orthonormal(columns(products_of(apply, S, self.chunk_size)))
            G = columns(G)
            V = rows(torch.cat((Q, G - Q @ (Q.mT @ G)), -1))
            # Q depends on J, and is held constant: given S the value is linear in J, unbiased for every Q.
            forms = (V * products_of(apply, V, self.chunk_size)).sum(-1)
            return forms[:size].sum(0) + forms[size:]

        return estimated(self.product, operator, f, self.chunk_size, values)
