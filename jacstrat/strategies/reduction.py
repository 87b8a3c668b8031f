"""An operator of a function as users have them, brought to a plain operator of a plain function.

Strategies know row-wise functions (B, n) -> (B, n), (B,) or (B, m), and the trace or the diagonal of all of J or H.
Whatever else is asked for is a change of variables around f, a stage each:

- points of any shape are flattened;
- complex results are their real and imaginary parts;
- over coordinates S alone, it is the operator of z -> f(x with x_S = z), which has |S| of them;
- a weight is one of `weights`.

So every strategy serves all of it, at the cost of |S| or rank A coordinates in place of n.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from jacstrat.core.errors import ShapeError, UnsupportedError, UsageError
from jacstrat.core.operator import Kind, Operator, is_array
from jacstrat.strategies.checked import checked
from jacstrat.strategies.copies import Copies
from jacstrat.strategies.points import check_points
from jacstrat.strategies.workload import same_random_numbers
from jacstrat.tape.arguments import Args, Function, of_rows


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


class Form(NamedTuple):
    """What f(x) is like.

    Fields:
        outputs: Of a scalar: m for (B, m), None for (B,). Of a field: how many it has.
        is_complex: Whether its numbers are.
    """

    outputs: int | None
    is_complex: bool


@dataclass(frozen=True, eq=False)
class Reduction:
    """An operator of f as one of `function`.

    Fields:
        operator: Plain, to be applied to `function` at `points(x, args)`.
        function: Row-wise; has `outputs`, how many a scalar has, None for one without an axis of its own.
        stages: What was changed, the first first.
        kind: Of f.
    """

    operator: Operator
    function: Function
    stages: tuple[Stage, ...] = ()
    kind: Kind = "field"

    @property
    def is_transparent(self) -> bool:
        """Whether value and gradient of `function` are those of f, in another shape."""
        return all(isinstance(stage, Transparent) for stage in self.stages)

    def beside(self, value: Tensor | None, gradient: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Value and gradient of f from those of `function`, where it is transparent."""
        for stage in reversed(self.stages):
            assert isinstance(stage, Transparent)
            value = None if value is None else stage.value(value)
            gradient = None if gradient is None else stage.gradient(gradient)
        return value, gradient

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        """The points that the operator is applied at, and what the function takes beside."""
        for stage in self.stages:
            x, args = stage.points(x, args)
        return x, args

    def result(self, result: Tensor) -> Tensor:
        """What was asked for."""
        for stage in reversed(self.stages):
            result = stage.result(result)
        return result


def reduction(
    operator: Operator, f: Function, x: Tensor, args: Args, event_dim: int, needs_scalar: bool, form: Form | None = None
) -> tuple[Reduction, Form]:
    """How an operator of f is reduced, and what f(x) is like.

    Args:
        operator, f, x, args: What is asked for.
        event_dim: Axes of a point.
        needs_scalar: The strategy serves scalars alone, and no field of their gradient.
        form: What f(x) is like, where that is known already; else f is evaluated.

    Raises:
        ShapeError: x or f(x) has a shape that does not fit; names the shapes.
        UsageError: Coordinates or a weight that x cannot have; names them.
    """
    from jacstrat.strategies.weights import weighing

    stages: list[Stage] = []

    def add(stage: Stage) -> None:
        nonlocal f, x, args
        stages.append(stage)
        f = stage.function(f)
        x, args = stage.points(x, args)

    if event_dim != 1:
        add(_event(x, event_dim, operator))
    check_points(x)
    n = x.shape[-1]
    operator.check_coordinates(n)
    f = checked(f, operator)
    if whole := _whole_of(x, args):
        add(_Whole(whole))
        operator = _whole_weight(operator, whole)
    form = form or _form(f, x, args)
    if operator.kind == "scalar":
        axis = -1 if operator.is_trace else -2
        if form.outputs == 1:
            add(_OneOutput(operator.is_trace))
        if form.is_complex:
            add(_ComplexScalar(None if form.outputs == 1 else form.outputs, axis))
    elif form.is_complex:
        add(_ComplexField(Copies.of(2, x)))
    S = operator.coordinates
    if S is not None and (tuple(range(n)) != S or (operator.kind == "field" and form.outputs != n)):
        add(_Restricted(S, n, form.outputs if operator.kind == "field" else None))
    plain = operator.plain
    if operator.weight is not None:
        plain, stage = weighing(replace(operator, coordinates=None), x, S, n, needs_scalar)
        if plain.kind != operator.kind and form.outputs not in (None, 1):
            raise UnsupportedError("a weight of its own at each point serves one output; give each output by itself")
        add(stage)
    outputs = None
    if operator.kind == "scalar" and plain.kind == "scalar":
        m = None if form.outputs in (None, 1) else form.outputs
        outputs = (m or 1) * 2 if form.is_complex else m
    return Reduction(plain, _marked(f, outputs) if outputs else f, tuple(stages), operator.kind), form


def _marked(f: Function, outputs: int) -> Function:
    """f as a scalar of so many outputs."""

    def function(x: Tensor, *args: Any) -> Tensor:
        return f(x, *args)

    function.__wrapped__ = f  # type: ignore[attr-defined]
    function.outputs = outputs  # type: ignore[attr-defined]
    return function


def outputs_of(f: Function) -> int | None:
    """How many outputs a reduced scalar has; None for one without an axis of its own."""
    found: int | None = getattr(f, "outputs", None)
    return found


def _form(f: Function, x: Tensor, args: Args) -> Form:
    # That f was called once more changes nothing that it draws later.
    with torch.no_grad(), same_random_numbers(x.device):
        y = f(x.detach(), *args)
    return Form(y.shape[-1] if y.dim() == x.dim() else None, y.is_complex())


def _event(x: Tensor, event_dim: int, operator: Operator) -> _Event:
    if not isinstance(event_dim, int) or isinstance(event_dim, bool) or event_dim < 1:
        raise UsageError(f"event_dim must be a whole number of at least 1, got {event_dim!r}; leave it out for 1")
    if not isinstance(x, Tensor):
        raise UsageError(f"x must be a torch.Tensor, got {type(x).__name__}")
    if x.dim() not in (event_dim, event_dim + 1):
        axes = ", ".join(f"n{k + 1}" for k in range(event_dim))
        raise ShapeError(
            f"with event_dim={event_dim} x must be a point ({axes}) or points (B, {axes}), got shape {tuple(x.shape)}"
        )
    is_diagonal = not operator.is_trace and operator.coordinates is None
    return _Event(tuple(x.shape[-event_dim:]), operator.kind == "field", is_diagonal)


@dataclass(frozen=True)
class _Event:
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

    def result(self, result: Tensor) -> Tensor:
        return result.unflatten(-1, self.event) if self.is_diagonal else result

    def value(self, value: Tensor) -> Tensor:
        return value.unflatten(-1, self.event) if self.is_field else value

    def gradient(self, gradient: Tensor) -> Tensor:
        return gradient.unflatten(-1, self.event)


def _whole_of(x: Tensor, args: Args) -> tuple[int, ...]:
    """Positions of tensors that are passed as they are: not of the rows, and with axes."""
    goes = of_rows(x, args)
    return tuple(k for k, arg in enumerate(args) if isinstance(arg, Tensor) and arg.dim() > 0 and not goes[k])


@dataclass(frozen=True)
class _Whole:
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


def _whole_weight(operator: Operator, positions: tuple[int, ...]) -> Operator:
    """The operator, with a weight of the point that is given its arguments as the caller has them."""
    weight = operator.weight
    if not callable(weight) or is_array(weight):
        return operator
    return replace(operator, weight=lambda x, *args: weight(x, *_bare(args, positions)))


@dataclass(frozen=True)
class _OneOutput:
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
class _ComplexScalar:
    """A complex scalar as two real outputs for each of its own."""

    outputs: int | None
    axis: int

    def function(self, f: Function) -> Function:
        return lambda x, *args: _parts(f(x, *args)).flatten(x.dim() - 1)

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
class _ComplexField:
    """A complex field as its real and its imaginary part, each on rows of its own."""

    copies: Copies

    def function(self, f: Function) -> Function:
        return self.copies.function(f, _part)

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        return self.copies.points(x, args)

    def result(self, result: Tensor) -> Tensor:
        return torch.complex(*self.copies.beside(result))


def _part(y: Tensor, which: Tensor) -> Tensor:
    """The real or the imaginary part of a field, at each row that which says."""
    return (_parts(y) * which.unsqueeze(-2)).sum(-1)


def _parts(y: Tensor) -> Tensor:
    """The real and the imaginary part beside each other, as view_as_real, whose way back takes no empty tensor."""
    return torch.stack((y.real, y.imag), -1)


@dataclass(frozen=True)
class _Restricted:
    """f at x with x_S = z, the rest of x held: |S| coordinates, and of a field the entries in S."""

    coordinates: tuple[int, ...]
    n: int
    outputs: int | None

    def function(self, f: Function) -> Function:
        S, n, m = self.coordinates, self.n, self.outputs
        # The outputs that belong to the coordinates: by their number, or in order where there are none but theirs.
        kept = None if m is None or m == len(S) < n else S

        def restricted(z: Tensor, x: Tensor, *args: Any) -> Tensor:
            y = f(placed(z, x, S, n), *args)
            return y if kept is None else y.index_select(-1, _index(kept, y.device))

        return restricted

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        return x.index_select(-1, _index(self.coordinates, x.device)), (x, *args)

    def result(self, result: Tensor) -> Tensor:
        return result


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
    """Places as a tensor, the same each time: what records f takes it for a constant that f holds.

    Outside of modes, which would leave a tensor of theirs.
    """
    with torch.inference_mode(False), _disable_current_modes():
        return torch.tensor(places, device=device)
