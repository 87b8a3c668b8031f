"""Functions with derivatives of their own, derivatives inside of the function, and what autograd is kept from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad, jacrev, jvp, vjp, vmap

from tests.compositions.operations.table import Draw, Event, numbers, operation


class SineWithRules(torch.autograd.Function):
    """With a context that is set up apart, a rule for vmap that torch makes, and a product forward."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.sin()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * ctx.saved_tensors[0].cos()

    @staticmethod
    def jvp(ctx: Any, t: Tensor) -> Tensor:
        return t * ctx.saved_tensors[0].cos()


class CubeWithVmap(torch.autograd.Function):
    """With a rule for vmap of its own, and no product forward."""

    @staticmethod
    def forward(x: Tensor, gain: Tensor) -> Tensor:
        return gain * x**3

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
        x, gain = ctx.saved_tensors
        return 3 * gain * x * x * g, (g * x**3).sum()

    @staticmethod
    def vmap(info: Any, dims: Any, x: Tensor, gain: Tensor) -> tuple[Tensor, int]:
        x = x if dims[0] is None else x.movedim(dims[0], 0)
        x = x.expand(info.batch_size, *x.shape) if dims[0] is None else x
        if dims[1] is not None:
            gain = gain.movedim(dims[1], 0).reshape(-1, *[1] * (x.dim() - 1))
        return gain * x**3, 0


class OldSoftplus(torch.autograd.Function):
    """As they were written before torch 2: the context comes with the arguments."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.log1p(x.exp())

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return g * torch.sigmoid(x)


class OldExp(torch.autograd.Function):
    """Saves its output, as torch's documentation does."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * ctx.saved_tensors[0]


class StraightThrough(torch.autograd.Function):
    """Rounds; its derivative is said to be that of tanh."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.round()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return g * (1 - x.tanh().square())


def gain(draw: Draw, event: Event) -> dict[str, Any]:
    """A positive number."""
    return {"gain": draw.positive()}


def form(draw: Draw, event: Event) -> dict[str, Any]:
    """A matrix on the last axis."""
    return {"weight": draw.matrix(event[-1], event[-1])}


def energy(z: Tensor, weight: Tensor) -> Tensor:
    """A scalar of all rows together, which no row shares with another."""
    h = torch.tanh(z @ weight)
    return (h.square().sum(-1) + 1).sqrt().sum() + (z.cos() * h).sum()


@operation(local=True)
def function_with_rules(y: Tensor) -> Tensor:
    return SineWithRules.apply(y)


@operation(gain, local=True)
def function_with_vmap(y: Tensor, gain: Tensor) -> Tensor:
    return CubeWithVmap.apply(0.5 * y, gain)


@operation(local=True)
def old_function(y: Tensor) -> Tensor:
    return OldSoftplus.apply(y)


@operation(local=True)
def old_function_of_output(y: Tensor) -> Tensor:
    return OldExp.apply(-y.square())


@operation(local=True, cut=True)
def straight_through(y: Tensor) -> Tensor:
    return StraightThrough.apply(1.5 * y) + y.square()


@operation(gain, cut=True)
def no_grad_scale(y: Tensor, gain: Tensor) -> Tensor:
    with torch.no_grad():
        size = gain / (1 + y.square().sum(-1, keepdim=True))
    return y.sin() * size


@operation(gain, local=True, cut=True)
def detached_factor(y: Tensor, gain: Tensor) -> Tensor:
    return gain * y * y.detach().cos()


@operation(local=True, cut=True)
def straight_through_by_detach(y: Tensor) -> Tensor:
    return y + (y.round() - y).detach() + 0.1 * y**3


@operation()
def detached_maximum(y: Tensor) -> Tensor:
    """A softmax as people write it against overflow; the result has no derivative in what is detached."""
    e = (y - y.amax(-1, keepdim=True).detach()).exp()
    return e / e.sum(-1, keepdim=True)


@operation(form)
def forces(y: Tensor, weight: Tensor) -> Tensor:
    """Minus the gradient of an energy, by autograd inside of the function."""
    with torch.enable_grad():
        z = y if y.requires_grad else y.detach().requires_grad_()
        return -torch.autograd.grad(energy(z, weight), z, create_graph=True)[0]


@operation(form)
def score(y: Tensor, weight: Tensor) -> Tensor:
    return grad(energy)(y, weight)


@operation(form)
def inner_jvp(y: Tensor, weight: Tensor) -> Tensor:
    y = y.contiguous()
    return jvp(lambda z: torch.tanh(z @ weight) * z, (y,), (y.sin(),))[1]


@operation(form)
def inner_vjp(y: Tensor, weight: Tensor) -> Tensor:
    result, pull = vjp(lambda z: torch.sin(z @ weight), y)
    return pull(result.cos())[0] + result


@operation(form, numbers(1, 12))
def inner_jacobian(y: Tensor, weight: Tensor) -> Tensor:
    """A Jacobian of every row, times the row."""

    def row(z: Tensor) -> Tensor:
        return torch.tanh(z @ weight).square()

    rows = y.reshape(-1, y.shape[-1])
    return torch.einsum("bij,bj->bi", vmap(jacrev(row))(rows), rows).reshape(y.shape)


@operation(lambda draw, event: {"net": draw.module(lambda: torch.nn.Linear(event[-1], event[-1]))})
def called_functionally(y: Tensor, net: torch.nn.Module) -> Tensor:
    parameters = {name: 0.5 * value for name, value in net.named_parameters()}
    return functional_call(net, parameters, (y.tanh(),))


@operation(lambda draw, event: {"weight": draw.parameter(4, event[-1])})
def inner_vmap(y: Tensor, weight: Tensor) -> Tensor:
    return vmap(lambda w: (y * w).sum(-1).sin(), out_dims=-1)(weight)


@operation(form)
def runge_kutta(y: Tensor, weight: Tensor) -> Tensor:
    """Two steps of the midpoint rule."""
    for _ in range(2):
        y = y + 0.3 * torch.tanh((y + 0.15 * torch.tanh(y @ weight)) @ weight)
    return y


@operation(gain, local=True)
def fixed_point(y: Tensor, gain: Tensor) -> Tensor:
    """Newton's iteration for z^3 + z = gain y, until it has converged, and three steps for its derivatives."""
    z, more = torch.zeros_like(y), 3
    while more:
        residual = z**3 + z - gain * y
        z = z - residual / (3 * z**2 + 1)
        more -= bool(residual.abs().max() < 1e-12)
    return z


@operation(gain, local=True)
def branch_by_parameter(y: Tensor, gain: Tensor) -> Tensor:
    return y.sin() * gain if bool(gain > 1) else y.cos() / gain
