"""XNysTrace: the leave-one-out idea of XTrace on Nystrom approximations, for positive semidefinite Hessians."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from jacstrat.core.errors import UnsupportedError
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

# The shift, in eps of the sketch: above what products with a Hessian and a Cholesky factorisation lose to rounding.
# With orthogonal probes 1 was enough for every positive semidefinite Hessian tried, of any rank, n = 20 to 256.
SHIFT = 4


@dataclass(frozen=True)
class XNysTrace(Strategy):
    """The mean over i of tr N_i + c w_i^T (H - N_i) w_i, N_i the Nystrom approximation of H from the probes but w_i.

    For the Laplacian of a function whose Hessian H is positive semidefinite, a convex one: it refuses where it sees
    that H is not. `probes` orthogonal probes of length sqrt n, c = (n - k + 1) / n, k = probes, one product each; with
    k >= n the unit vectors. The standard error is as of `xtrace`. Source: Epperly, Tropp, Webber 2024,
    doi:10.1137/23M1548323, section 2.3, with its shift.
    """

    name: ClassVar[str] = "xnystrace"
    cost: ClassVar[str] = "m VJP or JVP, batched; m = probes"
    exact_when: ClassVar[str] = "on average, the Hessian positive semidefinite; its rank is less than m, or m >= n"
    probes: int = 16
    product: ProductMode = "reverse"
    chunk_size: ChunkSize = "all"

    def __post_init__(self) -> None:
        check_budget(self.probes, 2, self.product, self.chunk_size)

    @property
    def stochastic(self) -> bool:
        return True

    @property
    def claimed_rate(self) -> float | None:
        return rate_of(self.probes, exchangeable=True)

    def refuse(self, operator: Operator) -> str | None:
        if operator.order > 1 or not operator.is_trace:
            return refuse_but_traces(operator)
        return "it needs a symmetric positive semidefinite matrix, which a field's Jacobian need not be; use xtrace"

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        k = self.probes

        def values(apply: Linearised, x: Tensor) -> Tensor:
            """The k estimates, each without one probe in its approximation.

            With Y = H W and G = (W^T Y)^-1 the approximation from all probes is N = Y G Y^T, and without the i-th it is
            N - u_i u_i^T / G_ii, u_i = Y G e_i. H and N agree on W, and w_i^T u_i = 1, so that
            w_i^T (H - N_i) w_i = 1 / G_ii.
            """
            n = x.shape[-1]
            if k >= n:
                return unit_diagonal(apply, x, self.chunk_size).sum(-1).unsqueeze(0)
            W = math.sqrt(n) * orthonormal(columns(draw("normal", k, x, generator)))[0]
            Y = columns(products_of(apply, rows(W), self.chunk_size))
            Y, W = (M.to(torch.promote_types(x.dtype, torch.float32)) for M in (Y, W))
            size = torch.linalg.matrix_norm(Y.detach()) / math.sqrt(n)
            # H + shift I has trace tr H + n shift. Where H vanishes any shift does.
            shift = torch.where(size > 0, SHIFT * torch.finfo(x.dtype).eps * size, 1)
            Y = Y + shift[..., None, None] * W
            core = W.mT @ Y
            L, failed = torch.linalg.cholesky_ex((core + core.mT) / 2)
            _refuse_indefinite(failed)
            F = torch.linalg.solve_triangular(L, Y.mT, upper=False)
            inverse = torch.linalg.solve_triangular(L, torch.eye(k, dtype=L.dtype, device=L.device), upper=False)
            G = inverse.square().sum(-2)
            U = F.mT @ inverse
            traces = F.square().sum((-2, -1)).unsqueeze(-1) + ((n - k + 1) / n - U.square().sum(-2)) / G
            estimates = (traces - n * shift.unsqueeze(-1)).movedim(-1, 0)
            return torch.where(size > 0, estimates, 0).to(x.dtype)

        return estimated(self.product, operator, f, self.chunk_size, values)


def _refuse_indefinite(failed: Tensor) -> None:
    """Raise where a Cholesky factorisation failed: W^T H W has a negative eigenvalue, and so has H."""
    if not failed.is_meta and bool(failed.any()):
        raise UnsupportedError(
            "xnystrace needs a positive semidefinite Hessian, and it is not so at some of the points; use xtrace, or "
            "negate the function where it is concave"
        )
