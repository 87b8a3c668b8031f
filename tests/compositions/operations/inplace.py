"""What is written into tensors, into parts of them, and past autograd."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.compositions.operations.table import Draw, Event, axes, numel, operation, several
from tests.compositions.operations.views import even


def gain(draw: Draw, event: Event) -> dict[str, Any]:
    """Positive parameters for the last axis."""
    return {"gain": draw.positive(event[-1])}


def slot(draw: Draw, event: Event) -> dict[str, Any]:
    """A position in the last axis, and a parameter."""
    return {"slot": draw.whole(0, event[-1] - 1), "value": draw.parameter()}


@operation(gain, local=True)
def add_(y: Tensor, gain: Tensor) -> Tensor:
    return y.clone().add_(gain, alpha=0.5)


@operation(gain, local=True)
def mul_(y: Tensor, gain: Tensor) -> Tensor:
    z = y.sin()
    z *= gain
    return z


@operation(local=True)
def chained_(y: Tensor) -> Tensor:
    return (2 * y).sub_(0.3).add_(y.square()).tanh_()


@operation(gain, local=True)
def div_(y: Tensor, gain: Tensor) -> Tensor:
    return y.clone().div_(gain + 1).exp_()


@operation(local=True)
def clamp_(y: Tensor) -> Tensor:
    return (1.5 * y).clamp_(-1, 1).add_(y)


@operation(gain, local=True)
def addcmul_(y: Tensor, gain: Tensor) -> Tensor:
    return torch.zeros_like(y).addcmul_(y, gain).lerp_(y.square(), 0.25)


@operation(slot, local=True)
def set_slot(y: Tensor, slot: int, value: Tensor) -> Tensor:
    z = torch.sin(y)
    z[..., slot] = value * y[..., 0] * (1 - y[..., 0])
    return z


@operation(slot, local=True)
def set_slot_to_constant(y: Tensor, slot: int, value: Tensor) -> Tensor:
    z = y * value
    z[..., slot] = 0.5
    return z


@operation(slot, local=True)
def add_to_slot(y: Tensor, slot: int, value: Tensor) -> Tensor:
    z = y.clone()
    z[..., slot] += value * y[..., -1].square()
    return z


@operation(gain, several, local=True)
def mul_part_(y: Tensor, gain: Tensor) -> Tensor:
    z = y * 1.0
    z[..., 1:].mul_(gain[1:])
    return z


@operation(fits=several, local=True)
def every_other_(y: Tensor) -> Tensor:
    z = y.clone()
    z[..., ::2].mul_(2).sub_(0.1)
    z[..., 1::2] = y[..., ::2][..., : y.shape[-1] // 2].sin()
    return z


@operation(slot, local=True)
def fill_(y: Tensor, slot: int, value: Tensor) -> Tensor:
    z = y.clone()
    z.select(-1, slot).fill_(value)
    return z * y


@operation(slot, local=True)
def zero_(y: Tensor, slot: int, value: Tensor) -> Tensor:
    z = (value * y).cos()
    z[..., slot].zero_()
    return z


@operation(lambda draw, event: {})
def copy_(y: Tensor) -> Tensor:
    z = torch.empty_like(y)
    z.copy_(y.flip(-1))
    z[..., 0].copy_(y[..., 0].exp())
    return z


@operation(gain)
def filled_by_loop(y: Tensor, gain: Tensor) -> Tensor:
    """A recurrence whose states are written into zeros, one after the other."""
    z = torch.zeros_like(y)
    z[..., 0] = y[..., 0]
    for k in range(1, y.shape[-1]):
        z[..., k] = torch.tanh(z[..., k - 1].clone() * gain[k]) + y[..., k]
    return z


@operation(fits=axes(2))
def transposed_view_(y: Tensor) -> Tensor:
    z = y.clone()
    v = z.transpose(-1, -2)
    v.mul_(1.5)
    v[..., 0] += y[..., 0, 0, None] ** 2
    return z.sin_()


@operation(fits=even)
def pairs_view_(y: Tensor) -> Tensor:
    z = y.clone().flatten(1)
    v = z.view(z.shape[0], -1, 2)
    v[..., 0].mul_(v[..., 1].clone())
    return z


@operation(fits=axes(2), local=True)
def diagonal_(y: Tensor) -> Tensor:
    z = y.clone()
    z.diagonal(dim1=-2, dim2=-1).add_(1).mul_(2)
    return z


@operation(gain, local=True)
def masked_assignment(y: Tensor, gain: Tensor) -> Tensor:
    z = gain * y
    z[y > 0.2] = 0.3
    return z


@operation(gain, local=True)
def masked_update(y: Tensor, gain: Tensor) -> Tensor:
    z = y.square()
    mask = y > 0
    z[mask] *= 0.5
    return z.masked_fill_(y > 2, 1.0) * gain


@operation(lambda draw, event: {"index": draw.index(event[-1], 2, distinct=True), "gain": draw.parameter(2)}, several)
def assigned_by_index(y: Tensor, index: Tensor, gain: Tensor) -> Tensor:
    z = y.clone()
    z[..., index] = gain * y[..., index.flip(0)]
    return z


@operation(lambda draw, event: {"index": draw.index(event[-1], 3), "gain": draw.parameter(3)})
def scatter_add_(y: Tensor, index: Tensor, gain: Tensor) -> Tensor:
    picked = gain * y[..., index]
    return torch.zeros_like(y).scatter_add_(-1, index.expand_as(picked), picked.sin())


@operation(local=True)
def out_of_a_list(y: Tensor) -> Tensor:
    rows = [y * k for k in range(1, 3)]
    rows[0] += rows[1].cos()
    return rows[0]


@operation(lambda draw, event: {"low": draw.number(-1.5, -0.2)}, local=True, cut=True)
def no_grad_clamp_(y: Tensor, low: float) -> Tensor:
    z = 1.5 * y
    with torch.no_grad():
        z.clamp_(min=low)
    return z.sin()


@operation(slot, local=True, cut=True)
def no_grad_slot_(y: Tensor, slot: int, value: Tensor) -> Tensor:
    z = value + y
    with torch.no_grad():
        z[..., slot] = 0.4
        z.mul_(1.1)
    return z.square()


@operation(lambda draw, event: {"low": draw.number(-1.5, -0.2)}, local=True, cut=True)
def data_clamp_(y: Tensor, low: float) -> Tensor:
    z = y + 0.1
    z.data.clamp_(min=low)
    z.detach().mul_(1.1)
    return z * y.cos()


@operation(gain, lambda event: numel(event) > 1, local=True, cut=True)
def detached_norm_(y: Tensor, gain: Tensor) -> Tensor:
    """As F.cosine_similarity and spectral norms do it: a size that is written past autograd."""
    size = y.square().sum(-1, keepdim=True) + gain.sum()
    with torch.no_grad():
        size.clamp_(min=1.5)
    return y / size.sqrt()
