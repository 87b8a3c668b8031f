"""Gradients of operators by autograd alone, and those of kernels beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from jacstrat.core.operator import OPERATORS
from jacstrat.fused.function import Lowered
from jacstrat.fused.gradient import Cotangents
from jacstrat.fused.spec import Products
from tests.fused.samples import randn

Gradients = list[Tensor]


def trained(*widths: int, act: Callable[[Tensor], Tensor] = torch.tanh) -> tuple[Callable[..., Tensor], list[Tensor]]:
    """Layers of parameters in float64, which are converted where x has another type, and the parameters."""
    sizes = [(out, width) for width, out in pairwise(widths)]
    weights = [randn(*size, scale=size[1] ** -0.5).requires_grad_() for size in sizes]
    biases = [randn(size[0], scale=0.1).requires_grad_() for size in sizes]

    def network(x: Tensor) -> Tensor:
        for number, (W, b) in enumerate(zip(weights, biases, strict=True)):
            x = nn.functional.linear(x if number == 0 else act(x), W.to(x.dtype), b.to(x.dtype))
        return x.squeeze(-1) if widths[-1] == 1 else x

    return network, [*weights, *biases]


def _second(f: Callable[..., Tensor], x: Tensor, args: Sequence[Any], V: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The second derivatives along directions added up, the value and the gradient, each with a graph."""
    value = f(x, *args)
    (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    total = torch.zeros(len(x), dtype=x.dtype) + 0 * gradient.sum(-1)
    for v in V if gradient.requires_grad else ():
        (Hv,) = torch.autograd.grad((gradient @ v).sum(), x, create_graph=True, allow_unused=True)
        total = total if Hv is None else total + Hv @ v
    return total, value, gradient


def _diagonal(f: Callable[..., Tensor], x: Tensor, args: Sequence[Any]) -> tuple[Tensor, Tensor]:
    value = f(x, *args)
    columns = [torch.autograd.grad(value[:, k].sum(), x, create_graph=True)[0][:, k] for k in range(x.shape[1])]
    return torch.stack(columns, 1), value


def compared(
    f: Callable[..., Tensor],
    x: Tensor,
    args: tuple[Any, ...] = (),
    tensors: Sequence[Tensor] = (),
    wanted: str = "laplacian",
    together: bool = False,
    V: Tensor | None = None,
    dtype: torch.dtype = torch.float64,
    products: Products = "ieee",
    points: int | None = None,
) -> tuple[Gradients, Gradients]:
    """Gradients in x and in tensors by kernels, and by autograd in float64; random cotangents, zeros for None.

    Args:
        f, x, args: What is differentiated, in float64.
        tensors: Leaves that f holds, and those of args whose gradients are wanted.
        wanted: The operator.
        together: Whether the value, and of a scalar the gradient, have cotangents as well.
        V: Directions; None for all.
        dtype: That x and tensors of args have for the kernel; f follows it.
        products, points: Of the kernel.
    """
    x = x.detach().requires_grad_()
    if wanted == "laplacian":
        results: tuple[Tensor, ...] = _second(f, x, args, torch.eye(x.shape[1], dtype=x.dtype) if V is None else V)
    else:
        diagonal, value = _diagonal(f, x, args)
        results = (diagonal.sum(-1) if wanted == "divergence" else diagonal, value)
    results = results if together else results[:1]
    cotangents = [randn(*one.shape) for one in results]
    expected = _filled(torch.autograd.grad(results, (x, *tensors), cotangents, allow_unused=True), (x, *tensors))
    at = Cotangents(*(one.to(dtype) for one in cotangents))
    function = Lowered(f, OPERATORS[wanted], lambda device: products, points)
    found = function.gradients(x.to(dtype), args, V, at, True, tensors)
    return _filled(found, (x, *tensors)), expected


def _filled(gradients: Sequence[Tensor | None], tensors: Sequence[Tensor]) -> Gradients:
    return [torch.zeros_like(t) if g is None else g for g, t in zip(gradients, tensors, strict=True)]


def assert_alike(pair: tuple[Gradients, Gradients]) -> None:
    for found, known in zip(*pair, strict=True):
        torch.testing.assert_close(found, known)
