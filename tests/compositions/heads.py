"""How a program ends: from any event to a number or to a field, with the points at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tests.compositions.operations import Draw, Event, numel


@dataclass(frozen=True)
class Head:
    """The end of a program.

    Fields:
        name: What programs call it.
        function: (B, *event), x (B, n) and what was drawn, by keyword, -> (B,) or (B, n).
        draw: Draws the keyword arguments for an event and n.
        fits: Whether it takes such an event for n coordinates.
        local: As in Operation.
    """

    name: str
    function: Callable[..., Tensor]
    draw: Callable[[Draw, Event, int], dict[str, Any]]
    fits: Callable[[Event, int], bool]
    local: bool = False
    cut: bool = False
    doubtful: bool = False


SCALAR_HEADS: list[Head] = []
FIELD_HEADS: list[Head] = []


def head(
    heads: list[Head],
    draw: Callable[[Draw, Event, int], dict[str, Any]],
    fits: Callable[[Event, int], bool] = lambda event, n: True,
    local: bool = False,
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Enter the function that follows under its own name."""

    def enter(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        heads.append(Head(function.__name__, function, draw, fits, local))
        return function

    return enter


def weights(draw: Draw, event: Event, n: int) -> dict[str, Any]:
    """A parameter for each number of the event."""
    return {"weight": draw.parameter(numel(event))}


def gains(draw: Draw, event: Event, n: int) -> dict[str, Any]:
    """A parameter for each coordinate."""
    return {"gain": draw.positive(n)}


def layer(draw: Draw, event: Event, n: int) -> dict[str, Any]:
    """A matrix from the event to the coordinates."""
    return {"weight": draw.matrix(numel(event), n)}


def as_many(event: Event, n: int) -> bool:
    """The event has as many numbers as x."""
    return numel(event) == n


@head(SCALAR_HEADS, weights)
def weighted_sum(y: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    return (y.flatten(1) * weight).sum(-1)


@head(SCALAR_HEADS, weights, local=True)
def weighted_squares(y: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    return y.flatten(1).square() @ weight


@head(SCALAR_HEADS, weights)
def last_layer(y: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    return torch.tanh(y.flatten(1) @ weight.unsqueeze(-1)).squeeze(-1)


@head(SCALAR_HEADS, weights)
def free_energy(y: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    return torch.logsumexp(y.flatten(1) + weight, -1)


@head(SCALAR_HEADS, weights, local=True)
def sum_of_sines(y: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    return torch.einsum("bi,i->b", y.flatten(1).sin(), weight)


@head(SCALAR_HEADS, weights)
def with_boundary(y: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """A network times a function that vanishes on the boundary, as PINNs have it."""
    return (y.flatten(1) * weight).mean(-1) * (1 - x.square() / 9).prod(-1)


@head(FIELD_HEADS, gains, as_many, local=True)
def scaled_field(y: Tensor, x: Tensor, gain: Tensor) -> Tensor:
    return gain * y.reshape(x.shape)


@head(FIELD_HEADS, gains, as_many, local=True)
def residual_field(y: Tensor, x: Tensor, gain: Tensor) -> Tensor:
    return x * gain + y.reshape(x.shape)


@head(FIELD_HEADS, layer)
def linear_field(y: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    return y.flatten(1) @ weight


@head(FIELD_HEADS, layer)
def gated_field(y: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    return torch.tanh(y.flatten(1) @ weight) * x


@head(FIELD_HEADS, gains, local=True)
def filled_up_field(y: Tensor, x: Tensor, gain: Tensor) -> Tensor:
    """The first numbers of the event, and of x what is missing."""
    z = y.flatten(1)[:, : x.shape[-1]]
    return torch.cat([z, x[:, z.shape[-1] :]], -1) * gain


@head(FIELD_HEADS, gains)
def radial_field(y: Tensor, x: Tensor, gain: Tensor) -> Tensor:
    return x * y.flatten(1).mean(-1, keepdim=True).sin() * gain
