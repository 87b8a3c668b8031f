"""The dense references: the whole Jacobian of every point, then its diagonal. n^2 numbers a point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from jacstrat.strategies.base import Function, Operator, Strategy
from jacstrat.strategies.confirm import confirmed
from jacstrat.strategies.probing import field_of, summed


def _diagonal(matrix: Callable[[Function], Callable[..., Any]], f: Function) -> Function:
    """x -> the diagonal of the dense matrix that the transform gives, point by point under vmap."""

    # f sees one-row batches, so that a function written for (B, n) alone is served.
    dense = matrix(lambda point: f(point.unsqueeze(0)).squeeze(0))

    def diagonal(x: Tensor) -> Tensor:
        J = torch.func.vmap(dense)(x) if x.dim() == 2 else dense(x)
        return J.diagonal(dim1=-2, dim2=-1).clone(memory_format=torch.contiguous_format)

    return diagonal


@dataclass(frozen=True)
class Jacrev(Strategy):
    """torch.func.jacrev under vmap: the whole Jacobian by n batched VJPs; for the Laplacian that of the gradient."""

    name: ClassVar[str] = "jacrev"
    cost: ClassVar[str] = "n VJP, batched, n^2 stored"
    exact_when: ClassVar[str] = "always"

    def build(self, operator: Operator, f: Function, x: Tensor, generator: torch.Generator | None) -> Function:
        return summed(operator, _diagonal(torch.func.jacrev, field_of(operator, f)))


@dataclass(frozen=True)
class Jacfwd(Strategy):
    """torch.func.jacfwd under vmap: the whole Jacobian by n batched JVPs; for the Laplacian that of the gradient."""

    name: ClassVar[str] = "jacfwd"
    cost: ClassVar[str] = "n JVP, batched, n^2 stored"
    exact_when: ClassVar[str] = "always"

    def build(self, operator: Operator, f: Function, x: Tensor, generator: torch.Generator | None) -> Function:
        diagonal = _diagonal(torch.func.jacfwd, field_of(operator, f))
        return summed(operator, confirmed(self.spec, diagonal, operator, f, x))


@dataclass(frozen=True)
class Hessian(Strategy):
    """torch.func.hessian under vmap, jacfwd of jacrev: the whole Hessian of the scalar."""

    name: ClassVar[str] = "hessian"
    cost: ClassVar[str] = "n JVP of VJP, batched, n^2 stored"
    exact_when: ClassVar[str] = "always"

    def refuse(self, operator: Operator) -> str | None:
        return None if operator == "laplacian" else "a field has no Hessian; use jacrev or jacfwd"

    def build(self, operator: Operator, f: Function, x: Tensor, generator: torch.Generator | None) -> Function:
        return summed(operator, confirmed(self.spec, _diagonal(torch.func.hessian, f), operator, f, x))
