"""What is right: a closed form, loops of torch.autograd.grad, or central differences of sixth order.

Differences are believed where two steps agree, with each other or with autograd: a kink between them shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from tests.cases.case import DIAGONAL, LAPLACIAN, Case, Sample

# Coefficients of the first derivative, and of the second.
FIRST = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
SECOND = {0: -49 / 18, 1: 3 / 2, 2: -3 / 20, 3: 1 / 90}
# Steps of x, and of parameters, the widest first: rounding is least with it, and kinks are between its ends.
X_STEPS = (1e-2, 4e-3, 1e-3)
STEPS = (1e-3, 3e-4, 1e-5)
# As far as differences agree, relative to the largest entry, and to the terms of a gradient.
VALUES_AGREE, SLOPES_AGREE = 1e-6, 2e-6
DIRECTIONS = 2
# A gradient is compared with so much of the result at least, where the result does not depend on the parameters.
LEAST = 1e-3


class NoTruthError(AssertionError):
    """Neither autograd nor differences can be trusted."""


class Answer(NamedTuple):
    """What is right about an operator of a case.

    Fields:
        result: (B,), or (B, n) for the diagonal.
        slopes: Derivatives of the sum of results, weighted, along random directions of the parameters.
        size: What an error of a slope is relative to.
    """

    result: Tensor
    slopes: tuple[float, ...]
    size: float


def answer(case: Case, operator: str, sample: Sample) -> Answer:
    """The answer to a case.

    Raises:
        NoTruthError: Its ways to it do not agree.
    """
    directions = directions_of(sample)
    if callable(case.truth):
        result = case.truth(sample.x, *sample.parameters)
        return Answer(result.detach(), *_along_all(gradients_of(result, sample), directions, result))
    if case.truth == "differences":
        result = _differences(operator, sample)
        return Answer(result, *_slopes(None, lambda: by_differences(operator, sample.f, sample.x), sample, result))
    result = by_autograd(operator, sample.f, sample.x).detach()
    if case.truth == "autograd alone":
        own = gradients_of(by_autograd(operator, sample.f, sample.x, graph=True), sample)
        return Answer(result, *_along_all(own, directions, result))
    if not any(error_of(by_differences(operator, sample.f, sample.x, h), result) <= VALUES_AGREE for h in X_STEPS):
        raise NoTruthError("autograd and differences do not agree on the value")
    try:
        own = gradients_of(by_autograd(operator, sample.f, sample.x, graph=True), sample)
    except RuntimeError:
        own = None
    return Answer(result, *_slopes(own, lambda: by_autograd(operator, sample.f, sample.x), sample, result))


def by_autograd(operator: str, f: Callable[[Tensor], Tensor], x: Tensor, graph: bool = False) -> Tensor:
    """The operator at x by a loop of reverse passes."""
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        y = f(x)
        if operator == LAPLACIAN:
            y = _gradient(y.sum(), x, graph=True)
        columns = [_gradient(y[..., i].sum(), x, graph)[..., i] for i in range(x.shape[-1])]
        return _contracted(operator, columns)


def _gradient(y: Tensor, x: Tensor, graph: bool) -> Tensor:
    if not y.requires_grad:
        return torch.zeros_like(x)
    return torch.autograd.grad(y, x, create_graph=graph, retain_graph=True, materialize_grads=True)[0]


def by_differences(operator: str, f: Callable[[Tensor], Tensor], x: Tensor, h: float = X_STEPS[0]) -> Tensor:
    """The operator at x by differences of f, with nothing of autograd in it."""
    columns = []
    with torch.no_grad():
        for i in range(x.shape[-1]):
            e = h * torch.eye(x.shape[-1], dtype=x.dtype)[i]
            if operator == LAPLACIAN:
                around = sum(c * (f(x + k * e) + f(x - k * e)) for k, c in SECOND.items() if k)
                columns.append((SECOND[0] * f(x) + around) / h**2)
            else:
                columns.append(sum(c * (f(x + k * e) - f(x - k * e))[..., i] for k, c in FIRST.items()) / h)
    return _contracted(operator, columns)


def _contracted(operator: str, columns: list[Tensor]) -> Tensor:
    """What the operator makes of the diagonal."""
    diagonal = torch.stack(columns, -1)
    return diagonal if operator == DIAGONAL else diagonal.sum(-1)


def _differences(operator: str, sample: Sample) -> Tensor:
    """The operator by differences of two steps that agree."""
    found = [by_differences(operator, sample.f, sample.x, h) for h in X_STEPS]
    for wide, narrow in pairwise(found):
        if error_of(narrow, wide) <= VALUES_AGREE:
            return wide
    raise NoTruthError(f"differences of steps {X_STEPS} do not agree on the value: {found}")


def error_of(found: Tensor, expected: Tensor) -> float:
    """The largest error, relative to the largest entry; infinite for another shape, and where a number is none."""
    if found.shape != expected.shape:
        return torch.inf
    share = (found.detach() - expected).abs().max() / expected.abs().max().clamp_min(1e-30)
    return float(share.nan_to_num(torch.inf))


def weights_of(result: Tensor) -> Tensor:
    """The weights of the sum of results whose gradient is looked at."""
    return torch.linspace(1, 2, result.numel(), dtype=torch.float64).view_as(result)


def directions_of(sample: Sample) -> list[list[Tensor]]:
    """Random directions of the parameters, the same for every strategy."""
    generator = torch.Generator().manual_seed(7)
    return [
        [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in sample.parameters] for _ in range(DIRECTIONS)
    ]


def gradients_of(result: Tensor, sample: Sample) -> Sequence[Tensor | None]:
    """The gradient of the weighted sum of results in each parameter; None where there is none."""
    if not result.requires_grad:
        return [None] * len(sample.parameters)
    return torch.autograd.grad((result * weights_of(result)).sum(), sample.parameters, allow_unused=True)


def along(gradients: Sequence[Tensor | None], direction: list[Tensor]) -> float:
    """A gradient along a direction."""
    return float(sum((g * d).sum() for g, d in zip(gradients, direction, strict=True) if g is not None))


def _along_all(
    gradients: Sequence[Tensor | None], directions: list[list[Tensor]], result: Tensor
) -> tuple[tuple[float, ...], float]:
    """A gradient along each direction, and its size: the largest sum of |terms|."""
    sizes = [along(_sizes(gradients), _sizes(direction)) for direction in directions]
    return tuple(along(gradients, d) for d in directions), max(LEAST * float(result.abs().max()), *sizes)


def _sizes(tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
    return [None if t is None else t.abs() for t in tensors]


def _slopes(
    own: Sequence[Tensor | None] | None, value: Callable[[], Tensor], sample: Sample, result: Tensor
) -> tuple[tuple[float, ...], float]:
    """Slopes by autograd where differences of the value agree, else by differences of two steps that do."""
    directions = directions_of(sample)
    # Autograd answers for what does not move: it is asked about the rest.
    moves = [
        [d * 0 if any(p is still for still in sample.still) else d for p, d in zip(sample.parameters, one, strict=True)]
        for one in directions
    ]
    size = LEAST * float(result.abs().max())
    if own is not None:
        slopes, own_size = _along_all(own, directions, result)
        moved, _ = _along_all(own, moves, result)
        size = max(size, own_size) if own_size < torch.inf else size
    found: list[tuple[float, ...]] = []
    for h in STEPS:
        found.append(tuple(_slope(value, sample, move, h) for move in moves))
        if own is not None and _agree(found[-1], moved, size):
            return slopes, size
    for wide, narrow in pairwise(found):
        at_least = max(size, *map(abs, wide))
        if not sample.still and _agree(wide, narrow, at_least):
            return wide, at_least
    raise NoTruthError(f"autograd has {moved if own else 'no gradient'}, differences of steps {STEPS} {found}")


def _agree(one: Sequence[float], other: Sequence[float], size: float) -> bool:
    return all(abs(a - b) <= SLOPES_AGREE * size for a, b in zip(one, other, strict=True))


def _slope(value: Callable[[], Tensor], sample: Sample, direction: list[Tensor], h: float) -> float:
    """The derivative of the weighted sum of a value along a direction of the parameters."""
    total = 0.0
    for k, c in FIRST.items():
        for sign in (1, -1):
            with moved(sample.parameters, direction, sign * k * h):
                result = value().detach()
            total += sign * c * float((result * weights_of(result)).sum())
    return total / h


@contextmanager
def moved(parameters: Sequence[Tensor], direction: list[Tensor], step: float) -> Iterator[None]:
    """Parameters elsewhere, and back to the bit."""
    before = [p.detach().clone() for p in parameters]
    try:
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p.add_(d, alpha=step)
        yield
    finally:
        with torch.no_grad():
            for p, value in zip(parameters, before, strict=True):
                p.copy_(value)
