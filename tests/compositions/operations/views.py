"""Other shapes of the same numbers, and what is put together of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tests.compositions.operations.table import MOST, Draw, Event, axes, axis, numbers, numel, operation, several

small = numbers(1, MOST // 2)


def even(event: Event) -> bool:
    """Its numbers go into pairs."""
    return numel(event) % 2 == 0 and numel(event) > 2


def part(draw: Draw, event: Event) -> dict[str, Any]:
    """A part of the last axis, with at least one entry."""
    start = draw.whole(0, event[-1] - 1)
    return {"start": start, "stop": draw.whole(start + 1, event[-1])}


@operation(fits=even, local=True)
def in_pairs(y: Tensor) -> Tensor:
    return y.reshape(y.shape[0], -1, 2)


@operation(fits=even, local=True)
def in_halves(y: Tensor) -> Tensor:
    return y.flatten(1).unflatten(1, (2, -1))


@operation(fits=axes(2), local=True)
def flatten(y: Tensor) -> Tensor:
    return y.flatten(1)


@operation(fits=axes(2), local=True)
def transpose(y: Tensor) -> Tensor:
    return y.transpose(-1, -2)


@operation(fits=axes(2), local=True)
def permute(y: Tensor) -> Tensor:
    return y.permute(0, *range(y.dim() - 1, 0, -1))


@operation(lambda draw, event: {"times": draw.whole(2, 3)}, numbers(1, MOST // 3))
def expand(y: Tensor, times: int) -> Tensor:
    return y.unsqueeze(1).expand(-1, times, *y.shape[1:])


@operation(lambda draw, event: {"gain": draw.parameter(2, 1)}, lambda event: len(event) == 1 and small(event))
def broadcast(y: Tensor, gain: Tensor) -> Tensor:
    return y.unsqueeze(-2) * gain


@operation(part)
def narrowed(y: Tensor, start: int, stop: int) -> Tensor:
    return y[..., start:stop]


@operation(fits=several)
def every_other(y: Tensor) -> Tensor:
    return y[..., ::2]


@operation(lambda draw, event: {"dims": draw.choice([-1], list(range(1, len(event) + 1)))}, local=True)
def flip(y: Tensor, dims: list[int]) -> Tensor:
    return y.flip(dims)


@operation(lambda draw, event: {"shifts": draw.choice(1, -1, 2), **axis(draw, event)}, local=True)
def roll(y: Tensor, shifts: int, dim: int) -> Tensor:
    return y.roll(shifts, dim)


@operation(lambda draw, event: {"dim": draw.whole(1, len(event) + 1)}, lambda event: len(event) < 3, local=True)
def unsqueeze(y: Tensor, dim: int) -> Tensor:
    return y.unsqueeze(dim)


@operation(fits=small)
def cat(y: Tensor) -> Tensor:
    return torch.cat([y.sin(), y.flip(-1)], -1)


@operation(lambda draw, event: {"other": draw.parameter(*event)}, small)
def cat_with_parameter(y: Tensor, other: Tensor) -> Tensor:
    return torch.cat([y, other.expand_as(y)], 1)


@operation(lambda draw, event: {"dim": draw.whole(1, len(event) + 1)}, lambda event: small(event) and len(event) < 3)
def stack(y: Tensor, dim: int) -> Tensor:
    return torch.stack([y, y.square()], dim)


@operation(fits=lambda event: event[-1] % 2 == 0)
def chunk(y: Tensor) -> Tensor:
    first, second = y.chunk(2, -1)
    return first * second.cos()


@operation(fits=several, local=True)
def coupling(y: Tensor) -> Tensor:
    """An affine coupling, as flows have it: one part moves by the other."""
    first, rest = y.split([1, y.shape[-1] - 1], -1)
    return torch.cat([first, rest * first.tanh().exp() + first], -1)


@operation(fits=several)
def unbind(y: Tensor) -> Tensor:
    first, *rest = y.unbind(-1)
    return torch.stack([one + first * one for one in rest], -1)


@operation(lambda draw, event: {"index": draw.whole(0, event[-1] - 1)}, axes(2))
def select(y: Tensor, index: int) -> Tensor:
    return y.select(-1, index)


@operation(lambda draw, event: {"index": draw.whole(0, event[-1] - 1)})
def minus_one_entry(y: Tensor, index: int) -> Tensor:
    return y - y[..., index, None] ** 2


@operation(fits=several)
def unfold(y: Tensor) -> Tensor:
    return y.unfold(-1, 2, 1).prod(-1)


@operation(fits=axes(2))
def diagonal(y: Tensor) -> Tensor:
    return y.diagonal(dim1=-2, dim2=-1)


@operation(lambda draw, event: {}, lambda event: len(event) == 1 and 1 < event[0] <= 6)
def diag_embed(y: Tensor) -> Tensor:
    return torch.diag_embed(y) + 0.1


@operation(fits=axes(2))
def tril(y: Tensor) -> Tensor:
    return y.tril() - 0.5 * y.triu(1)


@operation(fits=axes(2), local=True)
def swapped(y: Tensor) -> Tensor:
    return torch.movedim(y, -1, 1).contiguous()


@operation(fits=small)
def repeat(y: Tensor) -> Tensor:
    return y.repeat(*[1] * (y.dim() - 1), 2)


@operation(fits=small)
def repeat_interleave(y: Tensor) -> Tensor:
    return y.repeat_interleave(2, -1)


@operation(
    lambda draw, event: {"mode": draw.choice("circular", "reflect", "replicate")},
    lambda event: several(event) and len(event) <= 2 and small(event),
)
def pad_by_mode(y: Tensor, mode: str) -> Tensor:
    return functional.pad(y.reshape(y.shape[0], -1, y.shape[-1]), (1, 1), mode=mode).flatten(1)


@operation(lambda draw, event: {"value": draw.number(-1, 1)}, numbers(1, MOST // 3))
def pad(y: Tensor, value: float) -> Tensor:
    return functional.pad(y, (1, 0), value=value)


@operation(fits=lambda event: len(event) == 1 and event[0] >= 2)
def as_strided(y: Tensor) -> Tensor:
    z = y.contiguous()
    return z.as_strided((z.shape[0], z.shape[1] - 1, 2), (z.stride(0), z.stride(1), z.stride(1)))


@operation(fits=axes(2))
def trace(y: Tensor) -> Tensor:
    return y.tanh() + y.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]


@operation(fits=lambda event: several(event) and small(event))
def pairwise_differences(y: Tensor) -> Tensor:
    differences = (y.unsqueeze(-1) - y.unsqueeze(-2)).flatten(-2)
    return differences[..., :6]
