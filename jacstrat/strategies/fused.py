"""A network's Laplacian, divergence or diagonal in a kernel of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from jacstrat.core.errors import UnsupportedError, UsageError
from jacstrat.core.operator import Operator
from jacstrat.fused import NO_TRITON, Lowered, has_kernels, has_triton
from jacstrat.fused.gradient import Cotangents
from jacstrat.fused.spec import Products
from jacstrat.strategies.auto.candidates import Candidate, Evidence
from jacstrat.strategies.auto.counting import OpCounts, ProductCost
from jacstrat.strategies.base import Args, Function, Strategy
from jacstrat.strategies.chain import Chain
from jacstrat.strategies.contraction import Contraction, Passes, Together
from jacstrat.strategies.gaps import Transform
from jacstrat.strategies.look import has_numbers
from jacstrat.strategies.probing import Vmap
from jacstrat.strategies.taylor import Taylor

# How products of float32 may be made, and points of a tile that a kernel can be made for.
PRODUCTS: tuple[Products, ...] = get_args(Products)
POINTS = (16, 32, 64, 128)
# What Triton takes to compile a kernel, of results or of gradients, for `auto`.
COMPILE_S = 5.0


@dataclass(frozen=True)
class Fused(Strategy):
    """A network of linear layers and pointwise functions in one kernel, generated from what f does.

    A program holds the weights and a tile of points: forward, the adjoints g, and then each direction by itself,

        lap u = sum over layers of g_l s''(z_l) |t_l|^2,    t_1 = W_1,  t_(l+1) = W_(l+1) (s'(z_l) t_l),

    with one sum at the end. More directions than the first layer has units become as few as these. A field's directions
    go through its layers, and entry k is read off direction k. Gradients have kernels of their own.

    Source: the forward Laplacian of Li et al. 2024 with the adjoints known, by which directions are independent; this
    project. Kernels by Triton: Tillet, Kung and Cox 2019.
    """

    name: ClassVar[str] = "fused"
    cost: ClassVar[str] = "2 passes and n tangents, in one kernel"
    exact_when: ClassVar[str] = "always: it refuses what is no network of linear layers and pointwise functions"
    compiles: ClassVar[bool] = True
    records: ClassVar[bool] = True
    products: Products | Literal["auto"] = "auto"
    tile: int | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        if self.products not in ("auto", *PRODUCTS):
            raise UsageError(
                f"products must be auto, {', '.join(PRODUCTS[:-1])} or {PRODUCTS[-1]}, got {self.products!r}; "
                "leave it out for auto"
            )
        if self.tile != "auto" and (isinstance(self.tile, bool) or self.tile not in POINTS):
            raise UsageError(
                f"tile must be auto or {', '.join(map(str, POINTS[:-1]))} or {POINTS[-1]} points, got {self.tile!r}; "
                "leave it out for auto"
            )

    @property
    def transforms(self) -> frozenset[Transform]:
        return frozenset({"func"})  # its rules are its own

    def refuse(self, operator: Operator) -> str | None:
        if not has_triton():
            return NO_TRITON
        if operator.order == 4:
            return "no kernel is differentiated; use taylor"
        if operator.order == 2 and not operator.is_trace:
            return "it sums second derivatives as it goes; use jvp"
        return None

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterator[Candidate]:
        """On a device with kernels where seconds of a compiler are allowed; its gradients, as a program's, once."""
        if not evidence.compiles or not evidence.tried or not has_kernels(evidence.x.device):
            return
        # Forward, back and n directions, of which nothing is written to memory.
        f, n = evidence.work, evidence.n
        cost = ProductCost(OpCounts(1, 2 * f.flops), OpCounts(), OpCounts(0, f.flops))
        kernels = 2 if evidence.tried.leaves else 1
        yield Candidate(cls(), cost, n, n, 1e-5, setup_s=evidence.trace_s + kernels * COMPILE_S)

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        lowered = Lowered(f, operator, self._products_on, None if self.tile == "auto" else self.tile)
        kernels = lowered.prepared(x, args)
        if self.tile != "auto" and kernels.misfit:
            raise UnsupportedError(
                f"{self.spec} takes points in tiles of one kernel, and this network goes layer by layer: "
                f"{kernels.misfit}; leave out tile"
            )
        calls = _Calls(operator, f, lowered, x, args)
        return Contraction(
            calls.evaluate,
            passes=Passes(f_evaluations=1, vjp_products=int(operator.order == 2), jvp_products=kernels.network.n),
            along=calls.along if operator.order == 2 else None,
            together=calls.together,
            is_traced=True,
            constants=lowered.constants,
        )

    def _products_on(self, device: torch.device) -> Products:
        if self.products != "auto":
            return self.products
        if device.type != "cuda":
            return "tf32x3"
        has_tf32 = torch.version.hip is None and torch.cuda.get_device_capability(device) >= (8, 0)
        return "tf32x3" if has_tf32 else "ieee"


@dataclass(frozen=True, eq=False)
class _Asked:
    """What a call is to give: the operator along directions V, (K, n), or all, and value and gradient with it."""

    V: Tensor | None = None
    together: bool = False


class _Calls:
    """Calls of a prepared function: by kernels where there are numbers for them, else by what is written in torch."""

    def __init__(self, operator: Operator, f: Function, lowered: Lowered, x: Tensor, args: Args) -> None:
        self.operator, self.f, self.lowered = operator, f, lowered
        self._sample = x.detach(), args

    def evaluate(self, x: Tensor, *args: Any) -> Tensor:
        way = self._way(x, args)
        if way == "plain":
            return self.plain.evaluate(x, *args)
        if way == "kernels":
            return self.lowered.result(x, *args)
        return self._differentiable(_Asked(), x, args).result

    def along(self, V: Tensor, x: Tensor, *args: Any) -> Tensor:
        way = "plain" if V.requires_grad and torch.is_grad_enabled() else self._way(x, args)
        if way == "plain":
            assert self.plain.along is not None
            return self.plain.along(V, x, *args)
        if way == "kernels":
            return self.lowered.along(V, x, *args)
        return self._differentiable(_Asked(V), x, args).result

    def together(self, x: Tensor, *args: Any) -> Together:
        way = self._way(x, args)
        if way == "plain":
            return Together(self.evaluate(x, *args))
        if way == "kernels":
            return Together(*self.lowered.together(x, *args))
        return self._differentiable(_Asked(together=True), x, args)

    def results(self, asked: _Asked, x: Tensor, args: Args) -> tuple[Tensor, ...]:
        """What is asked for, by kernels."""
        if asked.together:
            return tuple(one for one in self.lowered.together(x, *args) if one is not None)
        if asked.V is not None:
            return (self.lowered.along(asked.V, x, *args),)
        return (self.lowered.result(x, *args),)

    def _differentiable(self, asked: _Asked, x: Tensor, args: Args) -> Together:
        tensors = (*(arg for arg in args if isinstance(arg, Tensor)), *self._tracked_constants)
        return Together(*_Trained.apply(self, asked, args, x, *tensors))

    @cached_property
    def plain(self) -> Contraction:
        """The same without kernels, which can be differentiated, transformed and compiled."""
        x, args = self._sample
        if self.operator.order == 2:
            return Taylor().contracted(self.operator, self.f, x, args, None)
        try:
            return Chain().contracted(self.operator, self.f, x, args, None)
        except UnsupportedError:
            return Vmap().contracted(self.operator, self.f, x, args, None)

    def gradients(
        self, asked: _Asked, args: Args, tensors: list[Tensor], cotangents: tuple[Tensor | None, ...]
    ) -> Sequence[Tensor | None]:
        """In those of x and further tensors that require them, by kernels."""
        x, *others = tensors
        result, *rest = (None if one is None else one.detach() for one in cotangents)
        if result is None:
            result = torch.zeros_like(x[..., 0] if self.operator.is_trace else x)
        wanted = [tensor for tensor in others if tensor.requires_grad]
        in_x, *others_found = self.lowered.gradients(
            x, args, asked.V, Cotangents(result, *rest), x.requires_grad, wanted
        )
        return [in_x, *others_found] if x.requires_grad else others_found

    @property
    def _tracked_constants(self) -> tuple[Tensor, ...]:
        return tuple(one for one in self.lowered.constants if one.requires_grad)

    def _way(self, x: Tensor, args: Args) -> Literal["kernels", "trained", "plain"]:
        """By kernels, by these with a gradient that others compute, or without them.

        What f holds and was computed with a graph may depend on more of it: its gradient would be counted twice.
        """
        if x.numel() == 0 or not has_numbers(x):
            return "plain"
        if not torch.is_grad_enabled():
            return "kernels"
        constants = self._tracked_constants
        if any(not one.is_leaf for one in constants):
            return "plain"
        tracked = (one.requires_grad for one in (x, *args) if isinstance(one, Tensor))
        return "trained" if constants or any(tracked) else "kernels"


class _Trained(torch.autograd.Function):
    """Results by kernels, and their gradients by others; once."""

    @staticmethod
    def forward(ctx: Any, calls: _Calls, asked: _Asked, args: Args, x: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.calls, ctx.asked, ctx.args = calls, asked, args
        ctx.save_for_backward(x, *tensors)
        ctx.set_materialize_grads(False)
        return calls.results(asked, x, args)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> Any:
        number = 1 + sum(isinstance(arg, Tensor) for arg in ctx.args)
        tensors = list(ctx.saved_tensors)
        for index in range(number):  # x and arguments; what f holds it reads as it is
            tensors[index] = tensors[index].detach().requires_grad_(ctx.needs_input_grad[3 + index])
        left = iter(tensors[1:number])
        args = tuple(next(left) if isinstance(arg, Tensor) else arg for arg in ctx.args)
        derivatives = iter(ctx.calls.gradients(ctx.asked, args, tensors, cotangents))
        gradients = [next(derivatives) if tensor.requires_grad else None for tensor in tensors]
        if torch.is_grad_enabled():
            given = (*(one for one in cotangents if one is not None), *ctx.saved_tensors)
            gradients = [one if one is None else _Once.apply(one, *given) for one in gradients]
        return (None, None, None, *gradients)


class _Once(torch.autograd.Function):
    """A gradient that may not be differentiated again: it depends on all that is given, in ways that were not kept."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *tensors: Tensor) -> Tensor:
        return gradient.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        raise UnsupportedError("fused is differentiable once; use taylor:compress=false")
