"""Functions that are programs or have rules of their own: torch.compile, TorchScript, autograd.Function."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tests.cases.case import DIVERGENCE, LAPLACIAN, Sample, case, enter, points


def network(out: int) -> nn.Sequential:
    last = [nn.Flatten(0)] if out == 1 else []
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, out), *last).double()


@enter(DIVERGENCE, "f is torch.compile(net), whose program can be differentiated once", "pytorch#91469")
def torch_compiled_field() -> Sample:
    torch._dynamo.reset()
    x, net = points(4, 3), network(3)
    # A backend that needs no compiler of C++.
    return Sample(torch.compile(net, backend="aot_eager"), x, tuple(net.parameters()))


@enter(LAPLACIAN, "torch.compile(net), which has no double backward", "pytorch#91469", "differences")
def torch_compiled_scalar() -> Sample:
    torch._dynamo.reset()
    x, net = points(4, 3), network(1)
    return Sample(torch.compile(net, backend="aot_eager"), x, tuple(net.parameters()))


@enter(DIVERGENCE, "torch.jit.script(net): transforms lose the gradient of its parameters")
def scripted_field() -> Sample:
    x, net = points(4, 3), network(3)
    return Sample(torch.jit.script(net), x, tuple(net.parameters()))


@enter(LAPLACIAN, "torch.jit.trace(net)")
def traced_scalar() -> Sample:
    x, net = points(4, 3), network(1)
    return Sample(torch.jit.trace(net, x), x, tuple(net.parameters()))


class Cube(torch.autograd.Function):
    """x^3 with both modes, in the form that transforms take."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x**3

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x * x * g

    @staticmethod
    def jvp(ctx: Any, t: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x * x * t


class OldSine(torch.autograd.Function):
    """sin x in the old form, with one mode, which no transform takes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return g * x.cos()


@case(LAPLACIAN, "nested forward modes lose terms of a custom function", "pytorch#197867")
def custom_function(x, c):
    return Cube.apply(Cube.apply(c * x)).sum(-1)


@case(DIVERGENCE, "a custom function in a field", "pytorch#197867")
def custom_function_field(x, c):
    return Cube.apply(c * x) * x.sum(-1, keepdim=True)


@case(LAPLACIAN, "a custom function that no transform takes", "functorch#207")
def old_custom_function(x, c):
    return (OldSine.apply(c * x) * x.sum(-1, keepdim=True)).sum(-1)


@case(DIVERGENCE, "a custom function that no transform takes, in a field", "pytorch#68060")
def old_custom_function_field(x, c):
    return OldSine.apply(c * x) * x.sum(-1, keepdim=True)
