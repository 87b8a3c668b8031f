"""XTrace: every probe serves the sketch of all others, and is tested against it."""

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
class XTrace(Strategy):
    """The mean over i of tr(Q_i^T J Q_i) + c_i w~_i^T J w~_i, w~_i = (I - Q_i Q_i^T) w_i; Q_i spans all J w_j, j != i.

    `probes` is the budget of products m: k = m // 2 normal probes w, as many for J Q. c_i gives w~_i the length
    sqrt(n - k + 1), which it has on average. The standard error is that of k independent values; these
    are not quite independent. With m >= n the n unit vectors cost no more and are exact, so they are used.
    Source: Epperly, Tropp, Webber 2024, doi:10.1137/23M1548323, sections 2 and 3.
    """

    name: ClassVar[str] = "xtrace"
    cost: ClassVar[str] = "m VJP or JVP, batched; m = probes"
    exact_when: ClassVar[str] = "on average; the rank of J is less than m // 2, or m >= n"
    probes: int = 16
    product: ProductMode = "reverse"
    chunk_size: ChunkSize = "all"

    def __post_init__(self) -> None:
        check_budget(self.probes, 4, self.product, self.chunk_size)

    @property
    def stochastic(self) -> bool:
        return True

    @property
    def claimed_rate(self) -> float | None:
        return rate_of(self.probes // 2, exchangeable=True)

    def refuse(self, operator: Operator) -> str | None:
        return refuse_but_traces(operator)

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        k = self.probes // 2

        def values(apply: Linearised, x: Tensor) -> Tensor:
            """The k estimates, each without one probe in its sketch.

            With Y = Q R the sketch of all, Q_i Q_i^T = Q (I - s_i s_i^T) Q^T, s_i the unit vector orthogonal to the
            columns of R but the i-th: column i of R^-T, normalised. So tr(Q_i^T J Q_i) = tr H - s_i^T H s_i with
            H = Q^T J Q, and the projected probe is w_i - Q a_i with a_i = (I - s_i s_i^T) Q^T w_i.
            """
            n = x.shape[-1]
            if self.probes >= n:
                return unit_diagonal(apply, x, self.chunk_size).sum(-1).unsqueeze(0)
            probes = draw("normal", k, x, generator)
            W, Y = columns(probes), columns(products_of(apply, probes, self.chunk_size))
            Q, R = orthonormal(Y)
            S = _left_out(R)
            QW = Q.mT @ W
            A = QW - S * (S * QW).sum(-2, keepdim=True)
            projected = W - Q @ A
            c = (n - k + 1) / projected.square().sum(-2)
            Z = columns(products_of(apply, rows(Q), self.chunk_size))
            H = Q.mT @ Z
            # Y and Z are products with J, all else is constant: the value is linear in J, and so is its gradient.
            rest = (projected * (Y - Z @ A)).sum(-2)
            traces = H.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True) - (S * (H @ S)).sum(-2)
            return (traces + c * rest).movedim(-1, 0)

        return estimated(self.product, operator, f, self.chunk_size, values)


def _left_out(R: Tensor) -> Tensor:
    """The normalised columns of R^-T; (..., k, k).

    A diagonal entry that is 0 but for rounding, where J has a rank below k, is put at rounding's size: s_i then lies in
    directions that the sketch has no need of, and no entry is infinite.
    """
    wide = R.to(torch.promote_types(R.dtype, torch.float32))
    d = wide.diagonal(dim1=-2, dim2=-1)
    largest = d.abs().amax(-1, keepdim=True)
    least = torch.where(largest > 0, torch.finfo(R.dtype).eps * largest, 1)
    raised = torch.where(d.abs() < least, least, d)
    regular = wide + torch.diag_embed(raised - d)
    identity = torch.eye(R.shape[-1], dtype=wide.dtype, device=R.device)
    inverse = torch.linalg.solve_triangular(regular, identity.expand(R.shape), upper=True)
    return torch.nn.functional.normalize(inverse.mT, dim=-2, eps=0).to(R.dtype)
