"""What a strategy is: a frozen value that prepares an operator for a function, and says so when it cannot."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, NamedTuple, final, get_args

import torch
from torch import Tensor

from jacstrat.errors import ShapeError, UnsupportedError, UsageError, unknown
from jacstrat.strategies.limits import within_limits

Operator = Literal["divergence", "laplacian", "jacobian_diagonal"]
OPERATORS: tuple[Operator, ...] = get_args(Operator)
Function = Callable[[Tensor], Tensor]


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


@dataclass(frozen=True, eq=False)
class Contraction:
    """What `build` gives where there is more to it than a callable x -> result.

    Fields:
        evaluate: x -> result.
        estimate: x -> Estimate, for a strategy with a standard error.
        chosen: The strategy that `evaluate` is, where the one asked for chooses among others.
        reason: Why it was chosen, or on what ground it is right, in one line.
        passes: What a call does, where f itself is not called.
        parts: Parts of x that `evaluate` does one after the other, with nothing in common: a program of one serves all.
    """

    evaluate: Function
    estimate: Callable[[Tensor], Estimate] | None = None
    chosen: Strategy | None = None
    reason: str = ""
    passes: Passes | None = None
    parts: Callable[[Tensor], tuple[Tensor, ...]] | None = None


@dataclass(frozen=True, eq=False)
class Prepared:
    """An operator set up for a function: a callable x -> (B,), or (B, n) for "jacobian_diagonal"; less B for a point.

    Fields:
        strategy: The strategy that does the work; where "auto" was asked for, its choice.
        operator, n: What it was prepared for.
        contraction: What was built.

    Raises, when called:
        ShapeError: x or f(x) has a shape that does not fit; names the shapes.
        UnsupportedError: The strategy cannot serve this function; says why.
    """

    strategy: Strategy
    operator: Operator
    n: int
    contraction: Contraction

    @property
    def reason(self) -> str:
        """Why this strategy, or on what ground it is right, in one line; "" where there is nothing to say."""
        return self.contraction.reason

    def __call__(self, x: Tensor) -> Tensor:
        return self._within_limits(self.contraction.evaluate, x)

    def estimate(self, x: Tensor) -> Estimate:
        """The result with its standard error; without one where the strategy claims none."""
        if self.contraction.estimate is None:
            return Estimate(self(x))
        return self._within_limits(self.contraction.estimate, x)

    def _within_limits(self, work: Callable[[Tensor], Any], x: Tensor) -> Any:
        check_points(x)
        if x.shape[-1] != self.n:
            raise ShapeError(f"prepared for points with n = {self.n}, got x of shape {tuple(x.shape)}; prepare again")
        with outside_inference_mode(), within_limits(self.strategy):
            return work(usable(x))


@dataclass(frozen=True)
class Strategy(ABC):
    """A way to contract the Jacobian. Its fields are its parameters; equal fields mean equal strategies.

    A concrete strategy is final: it names itself, says what it costs and when it is exact, and implements `build`.
    """

    name: ClassVar[str]
    cost: ClassVar[str]
    exact_when: ClassVar[str]
    # Preparing takes seconds of a compiler: it is measured where somebody asks for it, and not where nobody names any.
    compiles: ClassVar[bool] = False

    @property
    @final
    def spec(self) -> str:
        """The name with the parameters that differ from their defaults; `parse_strategy` reads it back.

        A strategy that works by another one has that in parentheses behind the name: compiled(vmap:chunk_size=8).
        """
        within = inner_name(type(self))
        values = {p.name: getattr(self, p.name) for p in fields(self) if p.name != within}
        changed = [
            f"{p.name}={_text(values[p.name])}" for p in fields(self) if values.get(p.name, p.default) != p.default
        ]
        inner = f"({getattr(self, within).spec})" if within else ""
        return self.name + inner + (":" + ",".join(changed) if changed else "")

    @property
    def stochastic(self) -> bool:
        """Whether it draws random probes, and is judged by the standard error that it claims."""
        return False

    @property
    def counted(self) -> Strategy:
        """The strategy whose operations are counted for this one: itself, unless they are out of torch's sight."""
        return self

    @property
    def claimed_rate(self) -> float | None:
        """The least share of draws in which the truth is to lie within one standard error; None: it claims none."""
        return None

    def __str__(self) -> str:
        return self.spec

    def refuse(self, operator: Operator) -> str | None:
        """Why this strategy cannot serve the operator, whatever the function; None where it can."""
        return None

    @abstractmethod
    def build(
        self, operator: Operator, f: Function, x: Tensor, generator: torch.Generator | None
    ) -> Function | Contraction:
        """The untimed set-up: a callable x -> result. `f` has had its shapes checked, `x` is valid."""

    @final
    def prepare(self, operator: str, f: Function, x: Tensor, generator: torch.Generator | None = None) -> Prepared:
        """Set up the operator for f once; the callable then serves every x like the given one.

        Args:
            operator: "divergence" or "jacobian_diagonal" of a field, "laplacian" of a scalar.
            f: Row-wise field, (B, n) -> (B, n), or scalar, (B, n) -> (B,).
            x: A point (n,) or points (B, n); its values serve tracing and compilation only.
            generator: Source of random probes; only stochastic strategies draw.

        Returns:
            A callable x -> (B,), or (B, n) for "jacobian_diagonal"; without B for a single point.

        Raises:
            UnsupportedError: The strategy cannot serve this operator or function; says why.
            ShapeError: x or f(x) has a shape that does not fit; names the shapes.
            UsageError: No such operator, or x is not floating-point.
        """
        if operator not in OPERATORS:
            raise UsageError(unknown("operator", operator, OPERATORS))
        if (reason := self.refuse(operator)) is not None:
            raise UnsupportedError(f"{self.spec} cannot serve the {operator}: {reason}")
        check_points(x)
        with outside_inference_mode(), within_limits(self):
            built = self.build(operator, checked(f, operator), usable(x), generator)
        return as_prepared(self, operator, x, built)


def as_prepared(strategy: Strategy, operator: Operator, x: Tensor, built: Function | Contraction) -> Prepared:
    """What a strategy built, as `prepare` gives it."""
    contraction = built if isinstance(built, Contraction) else Contraction(built)
    return Prepared(contraction.chosen or strategy, operator, x.shape[-1], contraction)


def inner_name(kind: type[Strategy]) -> str | None:
    """The parameter that is another strategy, which a spec has in parentheses; None where there is none."""
    return next((p.name for p in fields(kind) if isinstance(p.default, Strategy)), None)


def form(kind: type[Strategy]) -> str:
    """How a strategy is asked for: its name, with "(SPEC)" behind it where it works by another strategy."""
    return f"{kind.name}(SPEC)" if inner_name(kind) else kind.name


def _text(value: object) -> str:
    """A parameter as a spec has it: true and false in small letters."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def check_points(x: Tensor) -> None:
    """Refuse what is no point (n,) or batch of points (B, n) of real floating-point numbers."""
    if not isinstance(x, Tensor):
        raise UsageError(f"x must be a torch.Tensor, got {type(x).__name__}")
    if not x.is_floating_point():
        raise UsageError(f"x must be real and floating-point, got {x.dtype}; use x.double()")
    if x.dim() not in (1, 2) or x.shape[-1] == 0:
        raise ShapeError(f"x must be a point (n,) or points (B, n) with n >= 1, got shape {tuple(x.shape)}")


@contextmanager
def outside_inference_mode() -> Iterator[None]:
    """Derivatives need autograd, which inference mode turns off altogether; no_grad is enough to stay untracked."""
    if torch.is_inference_mode_enabled():
        with torch.inference_mode(False), torch.no_grad():
            yield
    else:
        yield


def usable(x: Tensor) -> Tensor:
    """x, or a copy of it where it was made in inference mode and autograd would refuse it."""
    return x.clone() if isinstance(x, Tensor) and x.is_inference() else x


def checked(f: Function, operator: str) -> Function:
    """f, with the shape of each result checked against that of x."""
    scalar = operator == "laplacian"
    kind = "scalar" if scalar else "field"

    def function(x: Tensor) -> Tensor:
        y = f(x)
        if not isinstance(y, Tensor):
            raise ShapeError(f"the {kind} must return one tensor, got {type(y).__name__}; return its one output")
        expected = x.shape[:-1] if scalar else x.shape
        if y.shape != expected:
            remedy = "; squeeze its last axis" if scalar and y.shape == (*expected, 1) else ""
            raise ShapeError(f"the {kind} must map {tuple(x.shape)} to {tuple(expected)}, got {tuple(y.shape)}{remedy}")
        return y

    # As functools.wraps leaves it: what this is a wrapping of.
    function.__wrapped__ = f  # type: ignore[attr-defined]
    return function


def positive_or_all(name: str, value: object) -> None:
    """Refuse a parameter that is neither a positive integer nor "all"."""
    if value != "all" and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise UsageError(f"{name} must be a positive integer or all, got {value!r}; leave it out for the default")
