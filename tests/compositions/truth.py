"""What is right: loops of torch.autograd.grad, reverse over reverse, and differences where these cannot be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.compositions.programs import Program

T = TypeVar("T")

# Coefficients of central differences of sixth order: of the first derivative, and of the second.
FIRST = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
SECOND = {0: -49 / 18, 1: 3 / 2, 2: -3 / 20, 3: 1 / 90}
# The same from one side, exact for polynomials of degree 3.
ASIDE_FIRST = {0: -11 / 6, 1: 3.0, 2: -3 / 2, 3: 1 / 3}
ASIDE_SECOND = {0: 2.0, 1: -5.0, 2: 4.0, 3: -1.0}
# Steps along a direction of the parameters. Between two of them a kink shows.
STEPS = (1e-3, 4e-4)
# As far as differences agree with each other, or with autograd, relative to the size of the terms.
AGREE = 1e-6
DIRECTIONS = 2


class Values(NamedTuple):
    """Results at some points.

    Fields:
        result: As the operator is to give it.
        size: What an error is relative to: the largest sum of |diagonal| of a row, and no less than a small share of f.
        reverse: Plain reverse mode has it.
    """

    result: Tensor
    size: float
    reverse: bool


class Slopes(NamedTuple):
    """Derivatives of a weighted sum of results along directions of the parameters.

    Fields:
        reason: What they are by, or why there are none.
        numbers: One for each direction; empty where there is no truth.
        size: What an error is relative to.
        reverse: Plain reverse mode has them, and right.
    """

    reason: str
    numbers: tuple[float, ...] = ()
    size: float = 1.0
    reverse: bool = False


def terms(program: Program, x: Tensor, graph: bool) -> Tensor:
    """The diagonal of the Jacobian, or of the Hessian, (B, n), a loop of reverse passes."""
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        y = program.function(x)
        if program.operator == "laplacian":
            y = _gradient(y.sum(), x, graph=True)
        columns = [_gradient(y[..., i].sum(), x, graph or i + 1 < x.shape[-1])[..., i] for i in range(x.shape[-1])]
        return torch.stack(columns, -1)


def _gradient(y: Tensor, x: Tensor, graph: bool) -> Tensor:
    if not y.requires_grad:
        return torch.zeros_like(x)
    return torch.autograd.grad(y, x, create_graph=graph, retain_graph=True, materialize_grads=True)[0]


def contracted(program: Program, diagonal: Tensor) -> Tensor:
    """What the operator makes of the diagonal."""
    return diagonal if program.operator == "jacobian_diagonal" else diagonal.sum(-1)


def values(program: Program, x: Tensor) -> Values:
    """The operator at x."""
    diagonal, plain = plainly(lambda: terms(program, x, graph=False).detach())
    with torch.no_grad():
        floor = 1e-3 * (1 + float(program.function(x).nan_to_num().abs().max()))
    finite = diagonal.abs().sum(-1)
    finite = finite[finite.isfinite()]
    return Values(contracted(program, diagonal), max(floor, float(finite.max()) if len(finite) else 0.0), plain)


def by_differences(program: Program, x: Tensor, h: float) -> Tensor:
    """The operator by central differences of f, with nothing of autograd."""
    columns = []
    f = program.function
    with torch.no_grad():
        for i in range(x.shape[-1]):
            e = torch.zeros(x.shape[-1], dtype=x.dtype)
            e[i] = h
            if program.operator == "laplacian":
                outer = sum(c * (f(x + k * e) + f(x - k * e)) for k, c in SECOND.items() if k)
                columns.append((SECOND[0] * f(x) + outer) / h**2)
            else:
                columns.append(sum(c * (f(x + k * e) - f(x - k * e))[..., i] for k, c in FIRST.items()) / h)
    return contracted(program, torch.stack(columns, -1))


def by_sides(program: Program, x: Tensor, h: float) -> tuple[Tensor, Tensor]:
    """The same from the numbers of f on one side of x alone, the left and the right."""
    f, scalar = program.function, program.operator == "laplacian"
    sides = []
    with torch.no_grad():
        for step in (-h, h):
            columns = []
            for i in range(x.shape[-1]):
                e = torch.zeros(x.shape[-1], dtype=x.dtype)
                e[i] = step
                y = sum(c * f(x + k * e) for k, c in ((ASIDE_SECOND if scalar else ASIDE_FIRST).items()))
                columns.append(y / h**2 if scalar else y[..., i] / step)
            sides.append(contracted(program, torch.stack(columns, -1)))
    return sides[0], sides[1]


def weights_of(result: Tensor) -> Tensor:
    """The weights of the sum of results whose gradient is looked at."""
    return torch.linspace(1, 2, result.numel(), dtype=torch.float64).view_as(result)


def directions_of(program: Program) -> list[list[Tensor]]:
    """Random directions of the parameters, the same for every strategy."""
    generator = torch.Generator().manual_seed(program.seed)
    return [
        [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in program.parameters]
        for _ in range(DIRECTIONS)
    ]


def along(gradients: list[Tensor | None], direction: list[Tensor]) -> tuple[float, float]:
    """A gradient along a direction, and the sum of the sizes of its terms."""
    products = [g * d for g, d in zip(gradients, direction, strict=True) if g is not None]
    return sum(float(p.sum()) for p in products), sum(float(p.abs().sum()) for p in products)


def gradients_of(program: Program, result: Tensor) -> list[Tensor | None]:
    """The gradient of the weighted sum of results in each parameter; None where there is none."""
    if not result.requires_grad:
        return [None] * len(program.parameters)
    total = (result * weights_of(result)).sum()
    return list(torch.autograd.grad(total, program.parameters, allow_unused=True))


def plainly(work: Callable[[], T]) -> tuple[T, bool]:
    """What `work` gives, and whether plain reverse mode does it.

    The kernels of attention have one derivative only; where they are in the way the truth is by the form that has more.
    """
    try:
        return work(), True
    except (RuntimeError, NotImplementedError):
        with sdpa_kernel(SDPBackend.MATH):
            return work(), False


def slopes(program: Program, at: Values) -> Slopes:
    """The truth about the gradient.

    Autograd of the third order is held against differences of the second. Where they disagree differences are right if
    those of two steps agree, except where the program is cut, of which differences see more than is meant, and at zeros
    and ties, where what autograd makes of a kink depends on the order in which it differentiates.
    """
    if not at.result.isfinite().all():
        return Slopes("result not finite")
    if program.cut and program.doubtful:
        return Slopes("cut, and doubtful by autograd")
    try:
        found, plain = plainly(
            lambda: gradients_of(program, contracted(program, terms(program, program.x, graph=True)))
        )
    except Exception as error:
        return Slopes(f"autograd raises {type(error).__name__}")
    directions = directions_of(program)
    reverse = [along(found, direction) for direction in directions]
    numbers = tuple(number for number, _ in reverse)
    if not all(map(math.isfinite, numbers)):
        return Slopes("gradient not finite")
    by_autograd = Slopes("autograd", numbers, max(0.1 * at.size, *(size for _, size in reverse)), plain)
    if program.cut:
        return by_autograd
    total, agree = _total(program), AGREE * by_autograd.size
    wide = _slope(program, directions[0], total, STEPS[0])
    if abs(wide - numbers[0]) <= agree:
        return by_autograd
    narrow = _slope(program, directions[0], total, STEPS[1])
    if program.special or not abs(wide - narrow) <= agree:
        return Slopes("a kink")
    others = (_slope(program, direction, total, STEPS[1]) for direction in directions[1:])
    return Slopes("differences", (narrow, *others), by_autograd.size)


def _total(program: Program) -> Callable[[], float]:
    def total() -> float:
        diagonal, _ = plainly(lambda: terms(program, program.x, graph=False))
        result = contracted(program, diagonal).detach()
        return float((result * weights_of(result)).sum())

    return total


def _slope(program: Program, direction: list[Tensor], total: Callable[[], float], h: float) -> float:
    """The derivative of `total` along a direction of the parameters, which are as before afterwards."""
    before = [p.detach().clone() for p in program.parameters]
    found = 0.0
    try:
        for k, c in FIRST.items():
            for sign in (1, -1):
                with torch.no_grad():
                    for p, value, d in zip(program.parameters, before, direction, strict=True):
                        p.copy_(value + sign * k * h * d)
                found += sign * c * total() / h
    finally:
        with torch.no_grad():
            for p, value in zip(program.parameters, before, strict=True):
                p.copy_(value)
    return found
