"""Changes of variables around a function, after which an operator of it is a plain one of another."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from jacstrat.core.errors import ShapeError, UsageError
from jacstrat.core.operator import Operator, is_array, is_weight_function
from jacstrat.strategies.copies import Copies, output
from jacstrat.strategies.points import outside_transforms
from jacstrat.trace.arguments import Args, Function, of_rows


class Stage(Protocol):
    """One change of variables."""

    def function(self, f: Function) -> Function:
        """f of the new variables."""

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        """The new variables, and further arguments, from the old."""

    def result(self, result: Tensor) -> Tensor:
        """What was asked for, from the operator's result in the new variables."""


@runtime_checkable
class Transparent(Stage, Protocol):
    """One whose function has the same value and gradient, in another shape."""

    def value(self, value: Tensor) -> Tensor:
        """f(x), from the value of the new function."""

    def gradient(self, gradient: Tensor) -> Tensor:
        """The gradient of a scalar f, from that of the new function."""


def event_of(x: Tensor, event_dim: int, operator: Operator) -> Event:
    if not isinstance(x, Tensor):
        raise UsageError(f"x must be a torch.Tensor, got {type(x).__name__}")
    if x.dim() not in (event_dim, event_dim + 1):
        if event_dim > x.dim():
            raise ShapeError(f"event_dim={event_dim} is more than the axes of x, which has shape {tuple(x.shape)}")
        axes = ", ".join(f"n{k + 1}" for k in range(event_dim))
        raise ShapeError(
            f"with event_dim={event_dim} x must be a point ({axes}) or points (B, {axes}), got shape {tuple(x.shape)}"
        )
    is_diagonal = not operator.is_trace and operator.coordinates is None
    return Event(tuple(x.shape[-event_dim:]), operator.kind == "field", is_diagonal)


@dataclass(frozen=True)
class Event:
    """Points of several axes as rows."""

    event: tuple[int, ...]
    is_field: bool
    is_diagonal: bool

    def function(self, f: Function) -> Function:
        event, is_field = self.event, self.is_field

        def flat(x: Tensor, *args: Any) -> Tensor:
            y = f(x.reshape(*x.shape[:-1], *event), *args)
            is_event = is_field and isinstance(y, Tensor) and tuple(y.shape) == (*x.shape[:-1], *event)
            return y.reshape(x.shape) if is_event else y

        return flat

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        return x.reshape(*x.shape[: x.dim() - len(self.event)], -1), args

    def weighed(self, operator: Operator) -> Operator:
        """The operator, its weight that of the flattened point: given in the shape of the point, or flat."""
        weight, event = operator.weight, self.event
        if weight is None or isinstance(weight, str | tuple):
            return operator
        if is_array(weight):
            return replace(operator, weight=_flat(weight, event))

        def flat(x: Tensor, *args: Any) -> Any:
            A = weight(x.reshape(*x.shape[:-1], *event), *args)
            return _flat(A, event) if is_array(A) else A

        return replace(operator, weight=flat)

    def result(self, result: Tensor) -> Tensor:
        return result.unflatten(-1, self.event) if self.is_diagonal else result

    def value(self, value: Tensor) -> Tensor:
        return value.unflatten(-1, self.event) if self.is_field else value

    def gradient(self, gradient: Tensor) -> Tensor:
        return gradient.unflatten(-1, self.event)


def _flat(A: Any, event: tuple[int, ...]) -> Any:
    """A weight (..., *event) or (..., *event, *event) as (..., n) or (..., n, n); any other as it is."""
    shape, k, n = tuple(A.shape), len(event), math.prod(event)
    for times in (2, 1):
        if shape[-times * k :] == event * times:
            return A.reshape(*shape[: len(shape) - times * k], *(n,) * times)
    return A


def whole_of(x: Tensor, args: Args) -> tuple[int, ...]:
    """Positions of tensors that are passed as they are: not of the rows, and with axes."""
    goes = of_rows(x, args)
    return tuple(k for k, arg in enumerate(args) if isinstance(arg, Tensor) and arg.dim() > 0 and not goes[k])


@dataclass(frozen=True)
class Whole:
    """Tensors that do not belong to the rows, with an axis in front: or they would where points are taken in parts."""

    positions: tuple[int, ...]

    def function(self, f: Function) -> Function:
        positions = self.positions
        return lambda x, *args: f(x, *_bare(args, positions))

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        return x, tuple(arg.unsqueeze(0) if k in self.positions else arg for k, arg in enumerate(args))

    def result(self, result: Tensor) -> Tensor:
        return result

    def value(self, value: Tensor) -> Tensor:
        return value

    def gradient(self, gradient: Tensor) -> Tensor:
        return gradient


def _bare(args: Args, positions: tuple[int, ...]) -> Args:
    return tuple(arg.squeeze(0) if k in positions else arg for k, arg in enumerate(args))


def bare_weight(operator: Operator, positions: tuple[int, ...]) -> Operator:
    """The operator, with a weight of the point that is given its arguments as the caller has them."""
    weight = operator.weight
    if not is_weight_function(weight):
        return operator
    return replace(operator, weight=lambda x, *args: weight(x, *_bare(args, positions)))


@dataclass(frozen=True)
class OneOutput:
    """A scalar of one output, (B, 1), as (B,); its gradient and diagonals are (B, n), as autograd has them."""

    is_trace: bool

    def function(self, f: Function) -> Function:
        return lambda x, *args: f(x, *args).squeeze(-1)

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        return x, args

    def result(self, result: Tensor) -> Tensor:
        return result.unsqueeze(-1) if self.is_trace else result

    def value(self, value: Tensor) -> Tensor:
        return value.unsqueeze(-1)

    def gradient(self, gradient: Tensor) -> Tensor:
        return gradient


@dataclass(frozen=True)
class ComplexScalar:
    """A complex scalar as two real outputs for each of its own."""

    outputs: int | None
    axis: int

    def function(self, f: Function) -> Function:
        return lambda x, *args: real_and_imaginary(f(x, *args)).flatten(x.dim() - 1)

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        return x, args

    def result(self, result: Tensor) -> Tensor:
        return self._whole(result, self.axis)

    def value(self, value: Tensor) -> Tensor:
        return self._whole(value, -1)

    def gradient(self, gradient: Tensor) -> Tensor:
        return self._whole(gradient, -2)

    def _whole(self, parts: Tensor, axis: int) -> Tensor:
        parts = parts.movedim(axis, -1)
        if self.outputs is None:
            return torch.complex(*parts.unbind(-1))
        return torch.complex(*parts.unflatten(-1, (self.outputs, 2)).unbind(-1)).movedim(-1, axis)


@dataclass(frozen=True)
class ComplexField:
    """A complex field as its real and its imaginary part, each on rows of its own."""

    copies: Copies

    def function(self, f: Function) -> Function:
        return self.copies.function(f, _part)

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        return self.copies.points(x, args)

    def result(self, result: Tensor) -> Tensor:
        return torch.complex(*self.copies.beside(result))


@dataclass(frozen=True)
class SeveralOutputs:
    """A scalar of several outputs as each of them, on rows of its own."""

    copies: Copies

    def function(self, f: Function) -> Function:
        return self.copies.function(f, output)

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        return self.copies.points(x, args)

    def result(self, result: Tensor) -> Tensor:
        return self.copies.beside(result).movedim(0, -1)


def _part(y: Tensor, which: Tensor) -> Tensor:
    """The real or the imaginary part of a field, at each row that which says."""
    return (real_and_imaginary(y) * which.unsqueeze(-2)).sum(-1)


def real_and_imaginary(y: Tensor) -> Tensor:
    """The real and the imaginary part beside each other, as view_as_real, whose way back takes no empty tensor."""
    return torch.stack((y.real, y.imag), -1)


@dataclass(frozen=True)
class Restricted:
    """f at x with x_S = z, the rest of x held: |S| coordinates, and of a field the entries in S."""

    coordinates: tuple[int, ...]
    n: int
    outputs: int | None

    def function(self, f: Function) -> Function:
        S, n, m = self.coordinates, self.n, self.outputs
        # The outputs that belong to the coordinates: by their number, or in order where there are none but theirs.
        coordinates = None if m is None or m == len(S) < n else S

        def restricted(z: Tensor, x: Tensor, *args: Any) -> Tensor:
            y = f(placed(z, x, S, n), *args)
            return y if coordinates is None else chosen(y, coordinates)

        return restricted

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        return chosen(x, self.coordinates), (x, *args)

    def result(self, result: Tensor) -> Tensor:
        return result


def chosen(x: Tensor, S: tuple[int, ...]) -> Tensor:
    """The coordinates S of x, a view where they stand side by side."""
    if tuple(range(S[0], S[-1] + 1)) == S:
        return x[..., S[0] : S[-1] + 1]
    return x.index_select(-1, _index(S, x.device))


def placed(z: Tensor, x: Tensor, S: tuple[int, ...], n: int) -> Tensor:
    """x with z for its coordinates S."""
    start, stop = S[0], S[-1] + 1
    if tuple(range(start, stop)) == S:
        parts = [part for part in (x[..., :start], z, x[..., stop:]) if part.shape[-1]]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)
    position = {i: k for k, i in enumerate(S)}
    order = tuple(position.get(i, len(S) + i) for i in range(n))
    return torch.cat((z, x), -1).index_select(-1, _index(order, x.device))


@lru_cache(maxsize=1024)
def _index(places: tuple[int, ...], device: torch.device) -> Tensor:
    """Places as a tensor, the same each time: what records f takes it for a constant that f holds."""
    with outside_transforms():
        return torch.tensor(places, device=device)
