"""The dense references: the whole Jacobian of every point, then its diagonal. n^2 numbers a point."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import compress
from typing import Any, ClassVar

import torch
from torch import Tensor

from jacstrat.core.errors import UnsupportedError
from jacstrat.core.operator import Operator
from jacstrat.strategies.auto.candidates import Candidate, Evidence
from jacstrat.strategies.base import Args, Function, Strategy
from jacstrat.strategies.contraction import Contraction
from jacstrat.strategies.gaps import Transform
from jacstrat.strategies.look import has_numbers
from jacstrat.strategies.products import functional_gradient
from jacstrat.trace import forward_mode
from jacstrat.trace.arguments import of_rows
from jacstrat.trace.rows import rows_apart


def _dense(
    spec: str,
    operator: Operator,
    matrix: Callable[[Function], Callable[..., Any]],
    g: Function,
    f: Function,
    x: Tensor,
    args: Args,
) -> Contraction:
    """The diagonal of the dense matrix that the transform gives of g, which is f or its gradient, point by point.

    Raises:
        UnsupportedError: f cannot be asked for one row of x.
    """
    if has_numbers(x) and (why := rows_apart(f, x, args)):
        raise UnsupportedError(f"{spec} takes points one by one, and f {why}; use vmap")

    def at_point(point: Tensor, *args: Any) -> Tensor:
        """The matrix at one point; f sees one-row batches, so that one written for (B, n) alone is served."""
        result: Tensor = matrix(lambda point: g(point.unsqueeze(0), *args).squeeze(0))(point)
        return result

    def diagonal(x: Tensor, *args: Any) -> Tensor:
        goes = of_rows(x, args)

        def row(x: Tensor, *tensors: Tensor) -> Tensor:
            left = iter(tensors)
            return at_point(x, *(next(left).unsqueeze(0) if its else arg for arg, its in zip(args, goes, strict=True)))

        J = torch.func.vmap(row)(x, *compress(args, goes)) if x.dim() == 2 else matrix(lambda x: g(x, *args))(x)
        return J.diagonal(dim1=-2, dim2=-1).clone(memory_format=torch.contiguous_format)

    return Contraction(
        lambda x, *args: operator.reduced(diagonal(x, *args)),
        entries=lambda coordinates, x, *args: diagonal(x, *args)[..., coordinates],
    )


@dataclass(frozen=True)
class Jacrev(Strategy):
    """torch.func.jacrev under vmap: the whole Jacobian by n batched VJPs; for the Laplacian that of the gradient."""

    name: ClassVar[str] = "jacrev"
    cost: ClassVar[str] = "n VJP, batched, n^2 stored"
    exact_when: ClassVar[str] = "always"

    @property
    def transforms(self) -> frozenset[Transform]:
        return frozenset({"rules", "reverse", "func", "rows"})

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterator[Candidate]:
        if evidence.operator.order == 1:  # what nests transforms in ways of its own is not tried unasked
            yield from evidence.batched(cls(), "vjp", op_s=20e-6, stored=evidence.n**2)

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        return _dense(self.spec, operator, torch.func.jacrev, operator.field(f, functional_gradient), f, x, args)


@dataclass(frozen=True)
class Jacfwd(Strategy):
    """torch.func.jacfwd under vmap: the whole Jacobian by n batched JVPs; for the Laplacian that of the gradient."""

    name: ClassVar[str] = "jacfwd"
    cost: ClassVar[str] = "n JVP, batched, n^2 stored"
    exact_when: ClassVar[str] = "always"

    @property
    def transforms(self) -> frozenset[Transform]:
        return frozenset({"rules", "func", "rows", "forward"})

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterator[Candidate]:
        if evidence.operator.order == 1:  # what nests transforms in ways of its own is not tried unasked
            yield from evidence.batched(cls(), "jvp", op_s=21e-6, stored=evidence.n**2)

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        return _dense(self.spec, operator, forward_mode.jacfwd, operator.field(f, functional_gradient), f, x, args)


@dataclass(frozen=True)
class Hessian(Strategy):
    """torch.func.hessian under vmap, jacfwd of jacrev: the whole Hessian of the scalar."""

    name: ClassVar[str] = "hessian"
    cost: ClassVar[str] = "n JVP of VJP, batched, n^2 stored"
    exact_when: ClassVar[str] = "always"

    def refuse(self, operator: Operator) -> str | None:
        return None if operator.order > 1 else "a field has no Hessian; use jacrev or jacfwd"

    @property
    def transforms(self) -> frozenset[Transform]:
        return frozenset({"rules", "func", "rows", "forward"})

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        return _dense(self.spec, operator, forward_mode.hessian, f, f, x, args)
