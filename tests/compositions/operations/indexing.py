"""Gathers and scatters, and what sorts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.compositions.operations.table import Draw, Event, add, axes, operation, several


def indices(draw: Draw, event: Event) -> dict[str, Any]:
    """Two to four places in the last axis, some of them maybe twice, and a parameter for each."""
    count = draw.whole(2, 4)
    return {"index": draw.index(event[-1], count), "gain": draw.parameter(count)}


def distinct(draw: Draw, event: Event) -> dict[str, Any]:
    """Some of the places in the last axis, none twice, and a parameter for each."""
    count = draw.whole(1, event[-1])
    return {"index": draw.index(event[-1], count, distinct=True), "gain": draw.parameter(count)}


def masked(draw: Draw, event: Event) -> dict[str, Any]:
    """A mask over the last axis."""
    return {"mask": draw.mask(event[-1])}


def counted(draw: Draw, event: Event) -> dict[str, Any]:
    """A mask over the last axis, and how much it takes."""
    mask = draw.mask(event[-1])
    return {"mask": mask, "count": int(mask.sum())}


def ranked(draw: Draw, event: Event) -> dict[str, Any]:
    """Parameters for the last axis, and in which direction to sort."""
    return {"gain": draw.parameter(event[-1]), "descending": draw.choice(True, False)}


@operation(indices)
def gather(y: Tensor, index: Tensor, gain: Tensor) -> Tensor:
    return gain * y.gather(-1, index.expand(*y.shape[:-1], len(index)))


@operation(indices)
def index_select(y: Tensor, index: Tensor, gain: Tensor) -> Tensor:
    return y.index_select(-1, index) + gain


@operation(indices)
def take_along_dim(y: Tensor, index: Tensor, gain: Tensor) -> Tensor:
    return torch.take_along_dim(y, index.expand(*y.shape[:-1], len(index)), -1) * gain


@operation(indices)
def by_list(y: Tensor, index: Tensor, gain: Tensor) -> Tensor:
    return y[..., index] * gain


@operation(lambda draw, event: {"index": draw.index(event[-2], 3), "column": draw.index(event[-1], 3)}, axes(2))
def by_two_lists(y: Tensor, index: Tensor, column: Tensor) -> Tensor:
    return y[..., index, column]


@operation(distinct, local=True)
def scatter(y: Tensor, index: Tensor, gain: Tensor) -> Tensor:
    source = (y[..., : len(index)] * gain).sin()
    return y.scatter(-1, index.expand_as(source), source)


@operation(distinct, local=True)
def scatter_number(y: Tensor, index: Tensor, gain: Tensor) -> Tensor:
    return (y * gain.sum()).scatter(-1, index.expand(*y.shape[:-1], len(index)), 0.7)


@operation(indices)
def scatter_add(y: Tensor, index: Tensor, gain: Tensor) -> Tensor:
    source = y[..., :1] * gain
    return y.scatter_add(-1, index.expand_as(source), source)


for _reduce in ("sum", "mean", "prod", "amax"):

    def _scatter_reduce(y: Tensor, index: Tensor, gain: Tensor, reduce: str) -> Tensor:
        source = (y[..., -1:] * gain).cos() + 0.5
        return y.scatter_reduce(-1, index.expand_as(source), source, reduce)

    def _reducing(draw: Draw, event: Event, reduce: str = _reduce) -> dict[str, Any]:
        return {**indices(draw, event), "reduce": reduce}

    add(f"scatter_reduce_{_reduce}", _scatter_reduce, _reducing)


@operation(indices)
def index_add(y: Tensor, index: Tensor, gain: Tensor) -> Tensor:
    return y.index_add(-1, index, y[..., -1:].tanh() * gain, alpha=0.5)


@operation(lambda draw, event: {**indices(draw, event), "accumulate": True})
def index_put_accumulated(y: Tensor, index: Tensor, gain: Tensor, accumulate: bool) -> Tensor:
    rows = torch.arange(y.shape[0])[:, None]
    z = y.flatten(1)
    return torch.zeros_like(z).index_put((rows, index), z[:, :1] * gain, accumulate=accumulate)


@operation(distinct, local=True)
def index_put(y: Tensor, index: Tensor, gain: Tensor) -> Tensor:
    z = y.movedim(-1, 0)
    return z.index_put((index,), (z[: len(index)].movedim(0, -1) * gain).movedim(-1, 0)).movedim(0, -1)


@operation(distinct, local=True)
def index_copy(y: Tensor, index: Tensor, gain: Tensor) -> Tensor:
    return y.index_copy(-1, index, y[..., : len(index)].square() * gain)


@operation(distinct, local=True)
def index_fill(y: Tensor, index: Tensor, gain: Tensor) -> Tensor:
    return (y + gain.prod()).index_fill(-1, index, 0.25)


@operation(lambda draw, event: {"other": draw.parameter(), **masked(draw, event)}, local=True)
def masked_fill(y: Tensor, other: Tensor, mask: Tensor) -> Tensor:
    return y.masked_fill(mask, other) * y


@operation(masked, local=True)
def masked_fill_number(y: Tensor, mask: Tensor) -> Tensor:
    return y.masked_fill(mask | (y > 1.2), -0.5)


@operation(counted)
def masked_scatter(y: Tensor, mask: Tensor, count: int) -> Tensor:
    # Torch takes the source in order, whatever the row: with as many numbers a row as the mask takes all stays in it.
    return y.masked_scatter(mask.expand_as(y), y.sin()[..., :count])


@operation(lambda draw, event: {"index": draw.whole(0, event[-1] - 1), "gain": draw.parameter()}, local=True)
def select_scatter(y: Tensor, index: int, gain: Tensor) -> Tensor:
    return y.select_scatter(gain * y[..., 0].square(), -1, index)


@operation(lambda draw, event: {"gain": draw.parameter(event[-1] - 1)}, several, local=True)
def slice_scatter(y: Tensor, gain: Tensor) -> Tensor:
    return y.slice_scatter(gain * y[..., :-1].sin(), -1, start=1)


@operation(lambda draw, event: {"gain": draw.parameter(min(event[-2:]))}, axes(2), local=True)
def diagonal_scatter(y: Tensor, gain: Tensor) -> Tensor:
    return torch.diagonal_scatter(y, gain * y.diagonal(dim1=-2, dim2=-1).exp(), dim1=-2, dim2=-1)


@operation(ranked)
def sort(y: Tensor, gain: Tensor, descending: bool) -> Tensor:
    return torch.sort(y, dim=-1, descending=descending, stable=True).values * gain


@operation(ranked)
def by_argsort(y: Tensor, gain: Tensor, descending: bool) -> Tensor:
    return (y * gain).gather(-1, torch.argsort(y, dim=-1, descending=descending, stable=True))


@operation(lambda draw, event: {"k": draw.whole(1, event[-1])})
def topk(y: Tensor, k: int) -> Tensor:
    return y.topk(k, -1).values


@operation(lambda draw, event: {"gain": draw.parameter(event[-1])})
def at_argmax(y: Tensor, gain: Tensor) -> Tensor:
    return y * (gain * y).gather(-1, y.argmax(-1, keepdim=True))


@operation(lambda draw, event: {"knots": draw.constant(4).sort().values, "heights": draw.parameter(5)}, local=True)
def steps(y: Tensor, knots: Tensor, heights: Tensor) -> Tensor:
    """Piecewise linear: heights by a search, which autograd does not see."""
    return y * heights[torch.searchsorted(knots, y.detach().contiguous())]


@operation(lambda draw, event: {"heights": draw.parameter(3, 2)})
def embedded(y: Tensor, heights: Tensor) -> Tensor:
    kinds = torch.arange(y.shape[-1]) % 3
    return torch.einsum("...i,ij->...j", y, torch.nn.functional.embedding(kinds, heights))
