"""What an operation of a composition is, how it draws what it needs, and the table that they all enter."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Event = tuple[int, ...]
# The most numbers that a row may have between two operations.
MOST = 36


class Draw:
    """A source of everything that is random in a program, from its seed alone."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)

    def choice(self, *options: Any) -> Any:
        return self.random.choice(options)

    def whole(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return self.random.randint(low, high)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def number(self, low: float, high: float) -> float:
        """A number of two decimals, so that it can be read."""
        return round(self.random.uniform(low, high), 2)

    def constant(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, dtype=torch.float64)

    def parameter(self, *shape: int, size: float = 1.0) -> Tensor:
        """A leaf that a user would train."""
        return (size * self.constant(*shape)).requires_grad_()

    def positive(self, *shape: int) -> Tensor:
        """A leaf of numbers between 0.5 and 1.5."""
        return (torch.rand(shape, generator=self.generator, dtype=torch.float64) + 0.5).requires_grad_()

    def matrix(self, rows: int, columns: int) -> Tensor:
        """A leaf whose product with a vector is as large as the vector."""
        return self.parameter(rows, columns, size=rows**-0.5)

    def index(self, below: int, count: int, distinct: bool = False) -> Tensor:
        """Integers below `below`, (count,); without two alike where they are to be distinct."""
        if distinct:
            return torch.tensor(self.random.sample(range(below), count))
        return torch.tensor([self.random.randrange(below) for _ in range(count)])

    def mask(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator) < 0.4

    def axis(self, event: Event) -> int:
        """One of the event axes, counted from behind."""
        return -self.whole(1, len(event))

    def module(self, make: Callable[[], nn.Module]) -> nn.Module:
        """A module as torch initialises it, in float64 and in evaluation."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.random.getrandbits(32))
            return make().double().eval()


@dataclass(frozen=True)
class Operation:
    """A function on a tensor with the batch in front and the event axes behind it.

    Fields:
        name: What programs call it.
        function: (B, *event) and what was drawn, by keyword, -> (B, *event').
        draw: Draws the keyword arguments for an event of this shape.
        fits: Whether it takes an event of this shape.
        local: It moves no coordinate far, so that a program of such operations may have a sparse Jacobian.
        cut: Autograd does not follow all that it computes, so that differences do not see what is meant.
        doubtful: Derivatives of the third order by torch are known to be off.
    """

    name: str
    function: Callable[..., Tensor]
    draw: Callable[[Draw, Event], dict[str, Any]]
    fits: Callable[[Event], bool]
    local: bool = False
    cut: bool = False
    doubtful: bool = False


OPERATIONS: dict[str, Operation] = {}


def nothing(draw: Draw, event: Event) -> dict[str, Any]:
    """The arguments of an operation that needs none."""
    return {}


def axis(draw: Draw, event: Event) -> dict[str, Any]:
    """One event axis."""
    return {"dim": draw.axis(event)}


def any_event(event: Event) -> bool:
    return True


def several(event: Event) -> bool:
    """The last axis has at least two entries."""
    return event[-1] >= 2


def axes(count: int, last: int = 1) -> Callable[[Event], bool]:
    """At least so many event axes, the last of at least so many entries."""
    return lambda event: len(event) >= count and event[-1] >= last


def numbers(least: int, most: int = MOST) -> Callable[[Event], bool]:
    """So many numbers a row."""
    return lambda event: least <= numel(event) <= most


def numel(event: Event) -> int:
    return functools.reduce(lambda a, b: a * b, event, 1)


def add(name: str, function: Callable[..., Tensor], draw=nothing, fits=any_event, **kind: bool) -> None:
    """Enter an operation under a name that is free."""
    if name in OPERATIONS:
        raise ValueError(f"there is an operation {name!r} already; take another name")
    OPERATIONS[name] = Operation(name, function, draw, fits, **kind)


def operation(draw=nothing, fits=any_event, **kind: bool) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Enter the function that follows under its own name; the arguments are those of Operation."""

    def enter(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        add(function.__name__, function, draw, fits, **kind)
        return function

    return enter
