"""Sums and what is like them, over an axis of the event, and scans along one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tests.compositions.operations.table import Draw, Event, any_event, axes, axis, operation, several


def reduced(draw: Draw, event: Event) -> dict[str, Any]:
    """An axis to reduce; the last that there is stays with one entry."""
    return {"dim": draw.axis(event), "keepdim": len(event) == 1 or draw.chance(0.5)}


def corrected(draw: Draw, event: Event) -> dict[str, Any]:
    """The last axis to reduce, by n or by n - 1."""
    return {"correction": draw.choice(0, 1)}


def gained(draw: Draw, event: Event) -> dict[str, Any]:
    """Parameters for the last axis."""
    return {"gain": draw.positive(event[-1])}


@operation(reduced)
def total(y: Tensor, dim: int, keepdim: bool) -> Tensor:
    return y.sum(dim, keepdim=keepdim)


@operation(reduced)
def mean(y: Tensor, dim: int, keepdim: bool) -> Tensor:
    return y.mean(dim, keepdim=keepdim)


@operation(reduced)
def nansum(y: Tensor, dim: int, keepdim: bool) -> Tensor:
    return y.sin().nansum(dim, keepdim=keepdim)


@operation(reduced)
def prod(y: Tensor, dim: int, keepdim: bool) -> Tensor:
    return y.prod(dim, keepdim=keepdim)


@operation(corrected, several)
def var(y: Tensor, correction: int) -> Tensor:
    return y - y.var(-1, correction=correction, keepdim=True)


@operation(gained, several)
def std(y: Tensor, gain: Tensor) -> Tensor:
    return y * (gain * torch.arange(y.shape[-1]) * 0.5 + y.sin()).std(-1, keepdim=True)


@operation(corrected, several)
def standardised(y: Tensor, correction: int) -> Tensor:
    deviation, mean = torch.std_mean(y + torch.arange(y.shape[-1]), -1, correction=correction, keepdim=True)
    return (y - mean) / (1 + deviation)


@operation(gained)
def norm(y: Tensor, gain: Tensor) -> Tensor:
    return y * (y + gain).norm(dim=-1, keepdim=True)


@operation(lambda draw, event: {"p": draw.choice(1, 2, 3, 4, float("inf")), **gained(draw, event)})
def vector_norm(y: Tensor, p: float, gain: Tensor) -> Tensor:
    return torch.cat([y, torch.linalg.vector_norm(gain * y, ord=p, dim=-1, keepdim=True)], -1)


@operation(reduced)
def logsumexp(y: Tensor, dim: int, keepdim: bool) -> Tensor:
    return torch.logsumexp(y, dim, keepdim=keepdim)


@operation(reduced)
def amax(y: Tensor, dim: int, keepdim: bool) -> Tensor:
    return y.amax(dim, keepdim=keepdim)


@operation()
def amin_and_amax(y: Tensor) -> Tensor:
    low, high = torch.aminmax(y, dim=-1, keepdim=True)
    return y.sin() + low * high


@operation(reduced)
def largest(y: Tensor, dim: int, keepdim: bool) -> Tensor:
    return y.max(dim, keepdim=keepdim).values


@operation(reduced)
def median(y: Tensor, dim: int, keepdim: bool) -> Tensor:
    return y.median(dim, keepdim=keepdim).values


@operation(lambda draw, event: {"k": draw.whole(1, event[-1])})
def kthvalue(y: Tensor, k: int) -> Tensor:
    return y - y.kthvalue(k, -1, keepdim=True).values.cos()


@operation(lambda draw, event: {"q": draw.number(0.1, 0.9)})
def quantile(y: Tensor, q: float) -> Tensor:
    return y * y.quantile(q, -1, keepdim=True)


@operation(axis)
def softmax(y: Tensor, dim: int) -> Tensor:
    return torch.softmax(y, dim)


@operation(axis)
def log_softmax(y: Tensor, dim: int) -> Tensor:
    return torch.log_softmax(y, dim)


@operation(axis)
def softmin(y: Tensor, dim: int) -> Tensor:
    return functional.softmin(y, dim)


@operation(lambda draw, event: {"mask": draw.mask(event[-1]) & (torch.arange(event[-1]) > 0)})
def masked_softmax(y: Tensor, mask: Tensor) -> Tensor:
    return torch.softmax(y.masked_fill(mask, float("-inf")), -1)


@operation(axis)
def cumsum(y: Tensor, dim: int) -> Tensor:
    return y.cumsum(dim)


@operation(axis)
def cumprod(y: Tensor, dim: int) -> Tensor:
    return y.cumprod(dim)


@operation(axis)
def cummax(y: Tensor, dim: int) -> Tensor:
    return y.cummax(dim).values


@operation(axis, doubtful=True)
def logcumsumexp(y: Tensor, dim: int) -> Tensor:
    return y.logcumsumexp(dim)


@operation(lambda draw, event: {}, several)
def diff(y: Tensor) -> Tensor:
    return torch.diff(y, dim=-1)


@operation(gained, several)
def cumulative_trapezoid(y: Tensor, gain: Tensor) -> Tensor:
    return torch.cumulative_trapezoid(y, gain.cumsum(-1), dim=-1)


@operation(lambda draw, event: {"bound": draw.number(0.5, 1.5)}, axes(2))
def renormed(y: Tensor, bound: float) -> Tensor:
    return y * (bound / y.square().sum((-1, -2), keepdim=True).add(1).sqrt())


@operation(gained, any_event)
def weighted_mean(y: Tensor, gain: Tensor) -> Tensor:
    return y - torch.einsum("...i,i->...", y, gain.softmax(0)).unsqueeze(-1)
