"""The dense references: the whole Jacobian of every point, then its diagonal. n^2 numbers a point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from jacstrat.errors import UnsupportedError
from jacstrat.strategies.base import Contraction, Function, Operator, Strategy
from jacstrat.strategies.gaps import Transform
from jacstrat.strategies.probing import field_of, summed
from jacstrat.strategies.witness import has_numbers
from jacstrat.tape.rows import rows_apart


def _dense(
    spec: str, operator: Operator, matrix: Callable[[Function], Callable[..., Any]], g: Function, f: Function, x: Tensor
) -> Contraction:
    """The diagonal of the dense matrix that the transform gives of g, which is f or its gradient, point by point.

    Raises:
        UnsupportedError: f cannot be asked for one row of x.
    """
    if has_numbers(x) and (why := rows_apart(f, x)):
        raise UnsupportedError(f"{spec} takes points one by one, and f {why}; use vmap")

    # f sees one-row batches, so that a function written for (B, n) alone is served.
    dense = matrix(lambda point: g(point.unsqueeze(0)).squeeze(0))

    def diagonal(x: Tensor) -> Tensor:
        J = torch.func.vmap(dense)(x) if x.dim() == 2 else dense(x)
        return J.diagonal(dim1=-2, dim2=-1).clone(memory_format=torch.contiguous_format)

    return Contraction(summed(operator, diagonal), entries=lambda x, coordinates: diagonal(x)[..., coordinates])


@dataclass(frozen=True)
class Jacrev(Strategy):
    """torch.func.jacrev under vmap: the whole Jacobian by n batched VJPs; for the Laplacian that of the gradient."""

    name: ClassVar[str] = "jacrev"
    cost: ClassVar[str] = "n VJP, batched, n^2 stored"
    exact_when: ClassVar[str] = "always"

    @property
    def transforms(self) -> frozenset[Transform]:
        return frozenset({"rules", "reverse", "func", "rows"})

    def build(self, operator: Operator, f: Function, x: Tensor, generator: torch.Generator | None) -> Contraction:
        return _dense(self.spec, operator, torch.func.jacrev, field_of(operator, f), f, x)


@dataclass(frozen=True)
class Jacfwd(Strategy):
    """torch.func.jacfwd under vmap: the whole Jacobian by n batched JVPs; for the Laplacian that of the gradient."""

    name: ClassVar[str] = "jacfwd"
    cost: ClassVar[str] = "n JVP, batched, n^2 stored"
    exact_when: ClassVar[str] = "always"

    @property
    def transforms(self) -> frozenset[Transform]:
        return frozenset({"rules", "func", "rows", "forward"})

    def build(self, operator: Operator, f: Function, x: Tensor, generator: torch.Generator | None) -> Contraction:
        return _dense(self.spec, operator, torch.func.jacfwd, field_of(operator, f), f, x)


@dataclass(frozen=True)
class Hessian(Strategy):
    """torch.func.hessian under vmap, jacfwd of jacrev: the whole Hessian of the scalar."""

    name: ClassVar[str] = "hessian"
    cost: ClassVar[str] = "n JVP of VJP, batched, n^2 stored"
    exact_when: ClassVar[str] = "always"

    def refuse(self, operator: Operator) -> str | None:
        return None if operator == "laplacian" else "a field has no Hessian; use jacrev or jacfwd"

    @property
    def transforms(self) -> frozenset[Transform]:
        return frozenset({"rules", "func", "rows", "forward"})

    def build(self, operator: Operator, f: Function, x: Tensor, generator: torch.Generator | None) -> Contraction:
        return _dense(self.spec, operator, torch.func.hessian, f, f, x)
