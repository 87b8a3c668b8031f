"""Functions of two or three numbers: the tensor with parameters, constants, or itself the other way round."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tests.compositions.operations.table import Draw, Event, operation


def gain(draw: Draw, event: Event) -> dict[str, Any]:
    """A positive parameter for the last axis, for the whole event, or one number."""
    return {"gain": draw.positive(*draw.choice(event[-1:], event, ()))}


def other(draw: Draw, event: Event) -> dict[str, Any]:
    """A parameter, or a constant, for the last axis, for the whole event, or one number."""
    shape = draw.choice(event[-1:], event, ())
    return {"other": draw.parameter(*shape) if draw.chance(0.7) else draw.constant(*shape)}


@operation(gain, local=True)
def scale(y: Tensor, gain: Tensor) -> Tensor:
    return gain * y


@operation(other, local=True)
def shift(y: Tensor, other: Tensor) -> Tensor:
    return torch.add(y, other, alpha=0.5)


@operation(other, local=True)
def reversed_difference(y: Tensor, other: Tensor) -> Tensor:
    return torch.rsub(y, other)


@operation(gain, local=True)
def divide(y: Tensor, gain: Tensor) -> Tensor:
    return y / (gain + y.square())


@operation(gain, local=True)
def divided(y: Tensor, gain: Tensor) -> Tensor:
    return gain / (1 + y.square())


@operation(gain, local=True)
def atan2(y: Tensor, gain: Tensor) -> Tensor:
    return torch.atan2(y, gain)


@operation(local=True)
def own_atan2(y: Tensor) -> Tensor:
    return torch.atan2(y.sin(), y.flip(-1).square() + 0.5)


@operation(gain, local=True)
def hypot(y: Tensor, gain: Tensor) -> Tensor:
    return torch.hypot(y, gain)


@operation(other, local=True)
def maximum(y: Tensor, other: Tensor) -> Tensor:
    return torch.maximum(y, other)


@operation(local=True)
def positive_part(y: Tensor) -> Tensor:
    """The maximum with zeros, which ties where y is 0."""
    return torch.maximum(y, torch.zeros_like(y))


@operation()
def own_minimum(y: Tensor) -> Tensor:
    return torch.minimum(y, y.roll(1, -1).sin())


@operation(other, local=True)
def fmax(y: Tensor, other: Tensor) -> Tensor:
    return torch.fmax(y, other)


@operation(other, local=True)
def clamp_by_tensors(y: Tensor, other: Tensor) -> Tensor:
    return torch.clamp(y, min=other - 1, max=other + 0.5)


@operation(other, local=True)
def logaddexp(y: Tensor, other: Tensor) -> Tensor:
    return torch.logaddexp(y, other)


@operation(local=False)
def own_logaddexp2(y: Tensor) -> Tensor:
    return torch.logaddexp2(y, y.flip(-1).tanh())


@operation(gain, local=True)
def xlogy(y: Tensor, gain: Tensor) -> Tensor:
    return torch.xlogy(y, y.square() + gain)


@operation(gain, local=True)
def xlog1py(y: Tensor, gain: Tensor) -> Tensor:
    return torch.special.xlog1py(gain, y.square())


@operation(gain, local=True)
def tensor_power(y: Tensor, gain: Tensor) -> Tensor:
    return (y.square() + 0.5) ** gain


@operation(gain, local=True)
def power_of_parameter(y: Tensor, gain: Tensor) -> Tensor:
    return torch.pow(gain, y)


@operation(
    lambda draw, event: {"exponent": torch.tensor([float(draw.whole(0, 3)) for _ in range(event[-1])])}, local=True
)
def power_by_constants(y: Tensor, exponent: Tensor) -> Tensor:
    return torch.pow(y, exponent.to(y.dtype))


@operation(local=True)
def own_power(y: Tensor) -> Tensor:
    return (y.square() + 0.5).pow(y.tanh())


# Torch's derivative by integers below zero is 0: it takes 2 ** -1 for an integer.
@operation(lambda draw, event: {"exponent": torch.tensor([draw.whole(0, 2) for _ in range(event[-1])])}, local=True)
def ldexp(y: Tensor, exponent: Tensor) -> Tensor:
    return torch.ldexp(y, exponent)


@operation(gain, local=True)
def remainder(y: Tensor, gain: Tensor) -> Tensor:
    return torch.remainder(y, 3 * gain)


@operation(other, local=True)
def copysign(y: Tensor, other: Tensor) -> Tensor:
    return torch.copysign(y, other)


@operation(other, local=True)
def where(y: Tensor, other: Tensor) -> Tensor:
    return torch.where(y > 0.1, y.square(), other * y)


@operation(lambda draw, event: {"mask": draw.mask(event[-1])}, local=True)
def where_masked(y: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, y, y.sin())


@operation(other, local=True)
def lerp(y: Tensor, other: Tensor) -> Tensor:
    return torch.lerp(y, other, 0.3)


@operation(gain, local=True)
def lerp_by_itself(y: Tensor, gain: Tensor) -> Tensor:
    return torch.lerp(y, gain, y.sigmoid())


@operation(other, local=True)
def addcmul(y: Tensor, other: Tensor) -> Tensor:
    return torch.addcmul(y, other, y.sin(), value=0.5)


@operation(other, local=True)
def addcdiv(y: Tensor, other: Tensor) -> Tensor:
    return torch.addcdiv(y, other, y.square() + 1, value=2)


@operation(gain, local=True)
def prelu(y: Tensor, gain: Tensor) -> Tensor:
    return functional.prelu(y, 0.3 * gain.flatten()[:1])


@operation(other, local=True)
def smooth_l1(y: Tensor, other: Tensor) -> Tensor:
    return functional.smooth_l1_loss(y, other.expand_as(y), reduction="none")


@operation(other, local=True)
def squared_error(y: Tensor, other: Tensor) -> Tensor:
    return functional.mse_loss(y, other.expand_as(y), reduction="none")


@operation(other, local=True)
def cross_entropy_of_bits(y: Tensor, other: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(y, other.sigmoid().expand_as(y), reduction="none")


@operation(lambda draw, event: {"other": draw.parameter(3)}, lambda event: event[-1] == 3)
def cross(y: Tensor, other: Tensor) -> Tensor:
    return torch.linalg.cross(y, other.expand_as(y), dim=-1)


@operation(lambda draw, event: {}, lambda event: event[-1] % 2 == 0)
def glu(y: Tensor) -> Tensor:
    return functional.glu(y, -1)
