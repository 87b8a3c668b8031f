"""What a strategy builds: a callable, and what else there is to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from jacstrat.core.considered import Considered
from jacstrat.core.operator import Operator
from jacstrat.strategies.copies import Copies
from jacstrat.strategies.reduction import outputs_of
from jacstrat.trace.arguments import Args, Function
from jacstrat.trace.numbers import NumbersGuard

if TYPE_CHECKING:
    from jacstrat.strategies.base import Strategy


class Estimate(NamedTuple):
    """A result, and how far off its strategy believes it to be.

    Fields:
        value: The operator's result, in its shape.
        std_error: The standard error of each number of `value`, in its shape; None where the strategy claims none,
            since it is exact or has too few probes to tell.
    """

    value: Tensor
    std_error: Tensor | None = None


class Passes(NamedTuple):
    """Passes through f in one call, per point, where f is not called but taken apart, so that nobody sees them.

    Fields:
        f_evaluations, vjp_products, jvp_products: As the columns of a record.
    """

    f_evaluations: int
    vjp_products: int
    jvp_products: int


class Together(NamedTuple):
    """A result, and what was found on the way to it.

    Fields:
        result: The operator's.
        value: f(x); None where it was not found.
        gradient: Of a scalar, with the coordinates along the last axis; None where it was not found, or of a field.
    """

    result: Tensor
    value: Tensor | None = None
    gradient: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Remote:
    """Calls that another process makes, and times.

    Fields:
        seconds: (calls) -> seconds that so many calls in a row take there, at the points of the last evaluation.
        software: What computes them: versions, and the precision of products.
    """

    seconds: Callable[[int], float]
    software: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Contraction:
    """What `build` gives where there is more to it than a callable (x, *args) -> result.

    Fields:
        evaluate: (x, *args) -> result.
        estimate: (x, *args) -> Estimate, for a strategy with a standard error.
        together: (x, *args) -> Together, where value or gradient come with the result.
        chosen: The strategy that `evaluate` is, where the one asked for chooses among others.
        reason: Why it was chosen, or on what ground it is right, in one line.
        passes: What a call does, where f itself is not called.
        parts: (x, args) -> the parts of points and arguments that `evaluate` does one after the other, with nothing in
            common: a program of one serves all.
        entries: (coordinates (K,), x, *args) -> these entries of the diagonal, (..., K), by the strategy's own
            products: what a few coordinates show of it.
        along: (directions (K, n), x, *args) -> sum_k v_k^T J v_k at each point, in the strategy's own way.
        is_traced: It rests on a recording of f: a change of what f reads makes it stale, and it is for points of the
            shape that it was made with.
        constants: Tensors that the recordings have as they are: those of f, or made while it was recorded.
        guard: Of the numbers of tensors, where what is claimed rests on these.
        is_confirmed: It was held against a witness already.
        kept_bytes: () -> memory that it keeps between calls, beside what f has.
        considered: What it was chosen among, with the evidence; empty where nothing was compared now.
        remote: How its calls are timed, where another process makes them.
    """

    evaluate: Function
    estimate: Callable[..., Estimate] | None = None
    together: Callable[..., Together] | None = None
    chosen: Strategy | None = None
    reason: str = ""
    passes: Passes | None = None
    parts: Callable[[Tensor, Args], list[tuple[Tensor, Args]]] | None = None
    entries: Function | None = None
    along: Function | None = None
    is_traced: bool = False
    constants: tuple[Tensor, ...] = ()
    guard: NumbersGuard | None = None
    is_confirmed: bool = False
    kept_bytes: Callable[[], int] | None = None
    considered: tuple[Considered, ...] = ()
    remote: Remote | None = None


def contraction_of(built: Function | Contraction) -> Contraction:
    """What `build` gave, as a Contraction."""
    return built if isinstance(built, Contraction) else Contraction(built)


def alike(inner: Function, f: Function) -> Function:
    """A scalar of as many outputs as f."""

    def function(x: Tensor, *args: Any) -> Tensor:
        return inner(x, *args)

    function.outputs = outputs_of(f)  # type: ignore[attr-defined]
    return function


def of_outputs(built: Contraction, copies: Copies, operator: Operator) -> Contraction:
    """A contraction on copies of the rows as one of several outputs, (B, m), or (B, m, n) for a diagonal."""
    axis = -1 if operator.is_trace else -2

    def placed(result: Tensor) -> Tensor:
        return copies.beside(result).movedim(0, axis)

    def evaluate(x: Tensor, *args: Any) -> Tensor:
        z, z_args = copies.points(x, args)
        return placed(built.evaluate(z, *z_args))

    def estimate(x: Tensor, *args: Any) -> Estimate:
        assert built.estimate is not None
        z, z_args = copies.points(x, args)
        value, error = built.estimate(z, *z_args)
        return Estimate(placed(value), None if error is None else placed(error))

    def together(x: Tensor, *args: Any) -> Together:
        assert built.together is not None
        z, z_args = copies.points(x, args)
        result, value, gradient = built.together(z, *z_args)
        return Together(
            placed(result),
            None if value is None else copies.beside(value).movedim(0, -1),
            None if gradient is None else copies.beside(gradient).movedim(0, -2),
        )

    return replace(
        built,
        evaluate=evaluate,
        estimate=estimate if built.estimate else None,
        together=together if built.together else None,
        parts=None,
        entries=None,
        along=None,
    )
