"""A small function that is hard to differentiate, and the table that such functions are entered in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

DIVERGENCE, DIAGONAL, LAPLACIAN = "divergence", "jacobian_diagonal", "laplacian"
# Where the answer comes from. "autograd": loops of torch.autograd.grad, held against differences. "autograd alone": f
# is cut, or has a kink at its points, so that differences answer another question. "differences": autograd gives
# nothing, or something wrong. A callable (x, *parameters) is a closed form.
Truth = Literal["autograd", "autograd alone", "differences"] | Callable[..., Tensor]


class Sample(NamedTuple):
    """A function at points.

    Fields:
        f: (B, n) -> (B,) for the Laplacian, else (B, n) -> (B, n).
        x: Points, (B, n), float64.
        parameters: The leaves that f reads.
        still: Those of them that no difference may move, since f is not smooth in them.
    """

    f: Callable[[Tensor], Tensor]
    x: Tensor
    parameters: tuple[Tensor, ...]
    still: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Case:
    """A function, and why it is here.

    Fields:
        name: Of the function.
        operators: What is computed of it.
        make: Makes the function anew, always the same; its parameters are its own.
        why: What is hard about it.
        source: Where it was reported.
        truth: Where the answer comes from.
    """

    name: str
    operators: tuple[str, ...]
    make: Callable[[], Sample]
    why: str
    source: str = ""
    truth: Truth = "autograd"


CASES: dict[str, Case] = {}


def enter(
    operators: str | tuple[str, ...], why: str, source: str = "", truth: Truth = "autograd"
) -> Callable[[Callable[[], Sample]], Callable[[], Sample]]:
    """Enter a function that makes a sample, under its name. What it draws comes from a seed of its own."""

    def add(make: Callable[[], Sample]) -> Callable[[], Sample]:
        name = make.__name__
        if name in CASES:
            raise ValueError(f"there is a case {name!r} already; take another name")
        named = (operators,) if isinstance(operators, str) else operators
        CASES[name] = Case(name, named, lambda: seeded(make), why, source, truth)
        return make

    return add


def case(
    operators: str | tuple[str, ...],
    why: str,
    source: str = "",
    truth: Truth = "autograd",
    *,
    n: int = 4,
    at: list[list[float]] | None = None,
    scales: int | None = None,
    **parts: Callable[[], Any],
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Enter a function (x, c, ...) under its name.

    Args:
        operators, why, source, truth: As in Case.
        n: Size of a point; four points are drawn.
        at: The points, where they matter.
        scales: How many positive parameters c has, n of them where it is not said.
        parts: What else the function takes, drawn by calls; modules are put in float64, and their parameters are f's.
    """

    def add(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def make() -> Sample:
            x = torch.randn(4, n).double() * 0.5 if at is None else torch.tensor(at).double()
            c = nn.Parameter(torch.rand(scales or x.shape[-1]).double() + 0.5)
            values = {name: draw() for name, draw in parts.items()}
            modules = [value.double() for value in values.values() if isinstance(value, nn.Module)]
            leaves = [value for value in values.values() if isinstance(value, nn.Parameter)]

            def f(x: Tensor) -> Tensor:
                return function(x, c, **values)

            return Sample(f, x, (c, *leaves, *(p for module in modules for p in module.parameters())))

        make.__name__ = function.__name__
        enter(operators, why, source, truth)(make)
        return function

    return add


def seeded(make: Callable[[], Any]) -> Any:
    """What is made, the same at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def normal(*shape: int, size: float = 1.0) -> Callable[[], Tensor]:
    """Constants of a normal distribution, float64."""
    return lambda: torch.randn(*shape).double() * size


def constant(values: Any) -> Callable[[], Tensor]:
    """A tensor of these values: whole numbers and truth values as they are, others in float64."""
    tensor = torch.tensor(values)
    return lambda: tensor.double() if tensor.is_floating_point() else tensor.clone()


def points(B: int, n: int) -> Tensor:
    """Points of a normal distribution, (B, n), float64."""
    return torch.randn(B, n).double()
