"""A user's own problem: from a function, a module, a class or a factory, as it is or described by @problem."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from jacstrat.core.errors import UsageError, unknown
from jacstrat.core.operator import FunctionKind, parse_operator
from jacstrat.problems.arguments import check_alone, required
from jacstrat.problems.base import USUAL, Problem, ProblemWeight, no_arguments, uniform
from jacstrat.problems.checked import (
    Arguments,
    Sampler,
    checked_arguments,
    checked_diagonal,
    checked_points,
    checked_terms,
)

# Where a user names no sizes: as many as show a slope, and few enough to wait for.
SIZES = (1, 2, 4, 8, 16)
STRUCTURES = ("diagonal", "tridiagonal", "banded", "dense", "unknown")
UNKNOWN_ANSWER = "none known: the reference is a dense autograd matrix"


def as_problem(value: object, name: str, called: str = "", origin: str = "") -> Problem:
    """The Problem that an object is, or that can be made of it.

    Args:
        value: A Problem; a row-wise function; an nn.Module; a class of nn.Module, made without arguments, or with n
            where its constructor takes one; or a factory: a callable whose only required parameter is called n, and
            which returns a row-wise function or an nn.Module.
        name: Of the problem, where it has none.
        called: The function's own name, for the formula; the same as `name` unless given.
        origin: Where it comes from.

    Raises:
        UsageError: It is none of these, or a function of more than x; says what it is, or takes.
    """
    if isinstance(value, Problem):
        return value
    function, factory = _function(value, name)
    if not factory:
        check_alone(function, name)
    return Problem(
        name=name,
        kind=None,
        formula=f"{called or name}(n)(x)" if factory else f"{called or name}(x)",
        answer=UNKNOWN_ANSWER,
        function=function,
        diagonal=None,
        structure="unknown",
        origin=origin,
        sizes=SIZES,
        factory=factory,
    )


def problem(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    kind: FunctionKind | None = None,
    reference: Callable[..., np.ndarray] | None = None,
    sizes: Sequence[int] = SIZES,
    points: Sampler | None = None,
    domain: str | None = None,
    structure: str = "unknown",
    formula: str | None = None,
    answer: str | None = None,
    origin: str | None = None,
    operators: Sequence[str] = (),
    weight: Callable[[int, np.random.Generator], ProblemWeight] | None = None,
    arguments: Arguments | None = None,
    closed: Mapping[str, Callable[..., np.ndarray]] | None = None,
) -> Any:
    """Make a Problem of a function, a module, a class of one or a factory; with or without arguments.

    Args:
        function: What `as_problem` takes.
        name: As in tables; the function's own unless given.
        kind: "field", (B, n) -> (B, n), or "scalar", (B, n) -> (B,) or (B, m); None to say which by the operator.
        reference: The diagonal J_ii of the field's Jacobian, or H_ii of the scalar's Hessian, derived by hand:
            `reference(x)` in numpy, (B, n) -> (B, n), x in numpy.longdouble; or `reference(x, parameters)`, with the
            parameters of the module by name, numpy too; with further arguments between the two, numpy as well. Without
            one the reference is a dense autograd matrix.
        sizes: Values of n to measure where none are asked for, rising.
        points: Points in the domain, (batch, n): `points(n, batch, rng)`, rng a numpy.random.Generator; uniform in
            [-1, 1)^n unless given.
        domain: Where the points lie, in words.
        structure: Of J or H: "diagonal", "tridiagonal", "banded", "dense" or "unknown".
        operators: Specs that are measured where none are asked for, such as "laplacian:coordinates=0+1".
        weight: The A of `weight=own`: `weight(n, rng)` gives an array (n,) or (n, n), or a function of the point, in
            torch, called as f is, that gives (B, n) or (B, n, n).
        arguments: What f is called with after x: `arguments(n, batch, rng)` gives a tuple of arrays or numbers; those
            with `batch` rows go with the rows of x.
        closed: Closed forms by spec, as `jacstrat.Problem` has them: functions as `reference`, which give the terms of
            which the result is the sum along the last axis.
        formula: The function, in a line.
        answer: The operator's closed form, in a line.
        origin: Where it comes from, in a line.

    Returns:
        The Problem; or, called without a function, the decorator that makes it.

    Raises:
        UsageError: An argument is none; says which, and what it may be.
    """

    description = Description(
        name=name,
        kind=kind,
        reference=reference,
        sizes=sizes,
        points=points,
        domain=domain,
        structure=structure,
        formula=formula,
        answer=answer,
        origin=origin,
        operators=operators,
        weight=weight,
        arguments=arguments,
        closed=closed or {},
    )
    return description.of if function is None else description.of(function)


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a user says of a function: the arguments of `problem`."""

    name: str | None
    kind: FunctionKind | None
    reference: Callable[..., np.ndarray] | None
    sizes: Sequence[int]
    points: Sampler | None
    domain: str | None
    structure: str
    formula: str | None
    answer: str | None
    origin: str | None
    operators: Sequence[str]
    weight: Callable[[int, np.random.Generator], ProblemWeight] | None
    arguments: Arguments | None
    closed: Mapping[str, Callable[..., np.ndarray]]

    def of(self, function: Callable[..., Any]) -> Problem:
        """The Problem of a function, a module, a class or a factory.

        Raises:
            UsageError: What is said is none; says which, and what it may be.
        """
        name = _name(function, self.name)
        body, factory = _function(function, name)
        self._check(name)
        if self.arguments is None and not factory:
            check_alone(body, name)
        return Problem(
            name=name,
            kind=self.kind,
            formula=self.formula or (f"{name}(n)(x)" if factory else f"{name}(x)"),
            answer=self.answer or ("by its reference" if self.reference else UNKNOWN_ANSWER),
            function=body,
            diagonal=checked_diagonal(name, self.reference) if self.reference else None,
            structure=self.structure,
            points=checked_points(name, self.points) if self.points else uniform(-1.0, 1.0),
            domain=self.domain or ("where its sampler draws" if self.points else "[-1, 1)^n"),
            origin=self.origin or "a function of one's own",
            sizes=_sizes(name, self.sizes),
            factory=factory,
            operators=_operators(name, self.kind, self.operators),
            weight=self.weight,
            arguments=checked_arguments(name, self.arguments) if self.arguments else no_arguments,
            closed={parse_operator(spec).spec: checked_terms(name, form) for spec, form in self.closed.items()},
        )

    def _check(self, name: str) -> None:
        """Refuse what is none."""
        if self.kind not in USUAL:
            raise UsageError(
                f"kind of {name} must be 'field' or 'scalar', got {self.kind!r}; leave it out to say by operator"
            )
        if self.structure not in STRUCTURES:
            raise UsageError(f"{name}: {unknown('structure', str(self.structure), STRUCTURES)}")
        for word, function, form in (
            ("reference", self.reference, " reference(x)"),
            ("points", self.points, " points(n, batch, rng)"),
            ("weight", self.weight, ""),
            ("arguments", self.arguments, ""),
        ):
            if function is not None and not callable(function):
                raise UsageError(f"{word} of {name} must be a function{form}, got {type(function).__name__}")
        for word in ("domain", "formula", "answer", "origin"):
            line = getattr(self, word)
            if line is not None and (not isinstance(line, str) or line != " ".join(line.split())):
                raise UsageError(f"{word} of {name} must be one line of text, got {line!r}")


def _function(value: object, name: str) -> tuple[Callable[..., Any], bool]:
    """The function or the factory, and whether it is a factory."""
    if isinstance(value, type):
        return _factory_of(value, name), True
    if not callable(value):
        raise UsageError(f"{name} is a {type(value).__name__}, neither a Problem nor a function of x")
    return value, not isinstance(value, torch.nn.Module) and required(value) == ["n"]


def _factory_of(kind: type, name: str) -> Callable[[int], Any]:
    """A factory that makes instances of a class of nn.Module."""
    if not issubclass(kind, torch.nn.Module):
        raise UsageError(f"{name} is a class, and no nn.Module; name an instance of it, or a function of x")
    every, required = _parameters(kind)
    if missing := [parameter for parameter in required if parameter != "n"]:
        raise UsageError(
            f"{name} needs {', '.join(missing)} to be made; name an instance, or a factory: "
            f"def make(n): return {kind.__name__}(...)"
        )
    return (lambda n: kind(n=n)) if "n" in every else (lambda n: kind())


def _parameters(function: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """Names of the parameters, and of those that are required; none of either where nobody knows, as in C."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return [], []
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return [p.name for p in named], [p.name for p in named if p.default is p.empty]


def _name(function: object, name: str | None) -> str:
    if name is None:
        name = getattr(function, "__name__", type(function).__name__)
    if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+", name):
        raise UsageError(f"the name of a problem is letters, digits, _, . and -, got {name!r}; give @problem(name=...)")
    return name


def _sizes(name: str, sizes: Sequence[int]) -> tuple[int, ...]:
    whole = isinstance(sizes, list | tuple) and all(type(n) is int and n > 0 for n in sizes)
    if not whole or not sizes or list(sizes) != sorted(set(sizes)):
        raise UsageError(f"sizes of {name} must be positive integers, rising, such as (2, 4, 8); got {sizes!r}")
    return tuple(sizes)


def _operators(name: str, kind: FunctionKind | None, operators: Sequence[str]) -> tuple[str, ...]:
    if isinstance(operators, str):
        operators = (operators,)
    for operator in map(parse_operator, operators):
        if kind not in (None, operator.kind):
            raise UsageError(f"operators of {name}: {operator} is of a {operator.kind}, and kind is {kind!r}")
    return tuple(parse_operator(operator).spec for operator in operators)
