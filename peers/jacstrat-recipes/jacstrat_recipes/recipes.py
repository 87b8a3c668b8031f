"""Exact recipes, as their projects have them: nested autograd of DeepXDE, and transforms of torch.func."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import compress
from typing import Any, ClassVar

import torch
from torch import Tensor

from jacstrat import Operator, Strategy, UnsupportedError
from jacstrat.strategies.gaps import Transform
from jacstrat.trace.arguments import Args, Function, of_rows
from jacstrat.trace.rows import rows_apart


@dataclass(frozen=True)
class Deepxde(Strategy):
    """DeepXDE's `dde.grad`: the gradient once, then a gradient of each of its components, each with a graph.

    Of a field a gradient of each component. What `dde.grad.hessian(y, x, i=i, j=i)` and `dde.grad.jacobian(y, x, i, i)`
    come to under PyTorch, summed over i: `torch.autograd.grad(y, x, ones_like(y), create_graph=True)`.

    Source: Lu, Meng, Mao, Karniadakis 2021, DeepXDE, doi:10.1137/19M1274067; deepxde/gradients.
    """

    name: ClassVar[str] = "deepxde"
    cost: ClassVar[str] = "n VJP in a loop, each with a graph of its own"
    exact_when: ClassVar[str] = "always"

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Function:
        def diagonal(x: Tensor, *args: Any) -> Tensor:
            tracked = torch.is_grad_enabled()
            with torch.enable_grad():
                x = x.view_as(x) if tracked and x.requires_grad else x.detach().requires_grad_()
                y = f(x, *args)
                if operator.is_second:
                    y = _gradient(y, x)
                entries = [_gradient(y[..., i], x)[..., i] for i in range(x.shape[-1])]
                result = torch.stack(entries, -1)
            return result if tracked else result.detach()

        return lambda x, *args: operator.reduced(diagonal(x, *args))


def _gradient(y: Tensor, x: Tensor) -> Tensor:
    if not y.requires_grad:
        raise UnsupportedError("autograd.grad takes nothing that does not depend on x, such as a constant gradient")
    (g,) = torch.autograd.grad(y, x, torch.ones_like(y), create_graph=True, materialize_grads=True)
    return g


@dataclass(frozen=True)
class Functorch(Strategy):
    """torch.func at one point, under vmap: the sum of v^T jvp(grad u, v) over unit vectors v, themselves under vmap.

    The recipe that is passed around for Laplacians without the dense Hessian; of a field that of jvp(f, v).

    Source: the tutorial "Jacobians, Hessians, hvp, vhp, and more" of PyTorch, its `hvp` by jvp of grad.
    """

    name: ClassVar[str] = "functorch"
    cost: ClassVar[str] = "n JVP of VJP, batched twice by vmap"
    exact_when: ClassVar[str] = "always"

    @property
    def transforms(self) -> frozenset[Transform]:
        return frozenset({"rules", "func", "rows", "forward"})

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Function:
        if x.dim() == 2 and not x.is_meta and (why := rows_apart(f, x, args)):
            raise UnsupportedError(f"{self.spec} takes points one by one, and f {why}; use vmap")

        def at_point(point: Tensor, *args: Any) -> Tensor:
            def one(point: Tensor) -> Tensor:
                return f(point.unsqueeze(0), *args).squeeze(0)

            field: Callable[[Tensor], Tensor] = torch.func.grad(one) if operator.is_second else one

            def entry(v: Tensor) -> Tensor:
                _, product = torch.func.jvp(field, (point,), (v,))
                return (v * product).sum()

            units = torch.eye(point.shape[-1], dtype=point.dtype, device=point.device)
            return operator.reduced(torch.func.vmap(entry)(units))

        def evaluate(x: Tensor, *args: Any) -> Tensor:
            if x.dim() == 1:
                return at_point(x, *args)
            goes = of_rows(x, args)

            def row(x: Tensor, *tensors: Tensor) -> Tensor:
                left = iter(tensors)
                its = (next(left).unsqueeze(0) if one else arg for arg, one in zip(args, goes, strict=True))
                return at_point(x, *its)

            return torch.func.vmap(row)(x, *compress(args, goes))

        return evaluate
