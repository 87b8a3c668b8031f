"""A user's own problem: from a function, a module, a class or a factory, as it is or described by @problem."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from jacstrat.core.errors import JacstratError, ShapeError, UsageError, in_words, unknown
from jacstrat.core.operator import Kind, parse_operator
from jacstrat.problems.arguments import check_alone, required
from jacstrat.problems.base import USUAL, Problem, Weight, no_arguments, uniform

# Where a user names no sizes: as many as show a slope, and few enough to wait for.
SIZES = (1, 2, 4, 8, 16)
STRUCTURES = ("diagonal", "tridiagonal", "banded", "dense", "unknown")
UNKNOWN_ANSWER = "none known: the reference is a dense autograd matrix"
Sampler = Callable[[int, int, np.random.Generator], np.ndarray]
Arguments = Callable[[int, int, np.random.Generator], Sequence[Any]]


def as_problem(found: object, name: str, called: str = "", origin: str = "") -> Problem:
    """The Problem that an object is, or that can be made of it.

    Args:
        found: A Problem; a row-wise function; an nn.Module; a class of nn.Module, made without arguments, or with n
            where its constructor takes one; or a factory: a callable whose only required parameter is called n, and
            which returns a row-wise function or an nn.Module.
        name: Of the problem, where it has none.
        called: The function's own name, for the formula; the same as `name` unless given.
        origin: Where it comes from.

    Raises:
        UsageError: It is none of these, or a function of more than x; says what it is, or takes.
    """
    if isinstance(found, Problem):
        return found
    function, factory = _function(found, name)
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
    kind: Kind | None = None,
    reference: Callable[..., np.ndarray] | None = None,
    sizes: Sequence[int] = SIZES,
    points: Sampler | None = None,
    domain: str | None = None,
    structure: str = "unknown",
    formula: str | None = None,
    answer: str | None = None,
    origin: str | None = None,
    operators: Sequence[str] = (),
    weight: Callable[[int, np.random.Generator], Weight] | None = None,
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

    def made(function: Callable[..., Any]) -> Problem:
        own = _name(function, name)
        body, factory = _function(function, own)
        _check(own, kind, structure, reference, points)
        if arguments is None and not factory:
            check_alone(body, own)
        for word, sampler in (("weight", weight), ("arguments", arguments)):
            if sampler is not None and not callable(sampler):
                raise UsageError(f"{word} of {own} must be a function, got {type(sampler).__name__}")
        for word, line in (("domain", domain), ("formula", formula), ("answer", answer), ("origin", origin)):
            if line is not None and (not isinstance(line, str) or line != " ".join(line.split())):
                raise UsageError(f"{word} of {own} must be one line of text, got {line!r}")
        return Problem(
            name=own,
            kind=kind,
            formula=formula or (f"{own}(n)(x)" if factory else f"{own}(x)"),
            answer=answer or ("by its reference" if reference else UNKNOWN_ANSWER),
            function=body,
            diagonal=_diagonal(own, reference) if reference else None,
            structure=structure,
            points=_points(own, points) if points else uniform(-1.0, 1.0),
            domain=domain or ("where its sampler draws" if points else "[-1, 1)^n"),
            origin=origin or "a function of one's own",
            sizes=_sizes(own, sizes),
            factory=factory,
            operators=_operators(own, kind, operators),
            weight=weight,
            arguments=_arguments(own, arguments) if arguments else no_arguments,
            closed={parse_operator(spec).spec: _terms(own, form) for spec, form in (closed or {}).items()},
        )

    return made if function is None else made(function)


def _function(found: object, name: str) -> tuple[Callable[..., Any], bool]:
    """The function or the factory, and whether it is a factory."""
    if isinstance(found, type):
        return _class(found, name), True
    if not callable(found):
        raise UsageError(f"{name} is a {type(found).__name__}, neither a Problem nor a function of x")
    return found, not isinstance(found, torch.nn.Module) and required(found) == ["n"]


def _class(found: type, name: str) -> Callable[[int], Any]:
    """A factory that makes instances of a class of nn.Module."""
    if not issubclass(found, torch.nn.Module):
        raise UsageError(f"{name} is a class, and no nn.Module; name an instance of it, or a function of x")
    every, required = _parameters(found)
    if missing := [parameter for parameter in required if parameter != "n"]:
        raise UsageError(
            f"{name} needs {', '.join(missing)} to be made; name an instance, or a factory: "
            f"def make(n): return {found.__name__}(...)"
        )
    return (lambda n: found(n=n)) if "n" in every else (lambda n: found())


def _parameters(function: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """Names of the parameters, and of those that are required; none of either where nobody knows, as in C."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return [], []
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return [p.name for p in named], [p.name for p in named if p.default is p.empty]


def _name(function: object, name: str | None) -> str:
    given = getattr(function, "__name__", type(function).__name__) if name is None else name
    if not isinstance(given, str) or not re.fullmatch(r"[\w.-]+", given):
        raise UsageError(
            f"the name of a problem is letters, digits, _, . and -, got {given!r}; give @problem(name=...)"
        )
    return given


def _check(name: str, kind: object, structure: object, reference: object, points: object) -> None:
    if kind not in USUAL:
        raise UsageError(f"kind of {name} must be 'field' or 'scalar', got {kind!r}; leave it out to say by operator")
    if structure not in STRUCTURES:
        raise UsageError(f"{name}: {unknown('structure', str(structure), STRUCTURES)}")
    if reference is not None and not callable(reference):
        raise UsageError(f"reference of {name} must be a function reference(x), got {type(reference).__name__}")
    if points is not None and not callable(points):
        raise UsageError(f"points of {name} must be a function points(n, batch, rng), got {type(points).__name__}")


def _sizes(name: str, sizes: Sequence[int]) -> tuple[int, ...]:
    whole = isinstance(sizes, list | tuple) and all(type(n) is int and n > 0 for n in sizes)
    if not whole or not sizes or list(sizes) != sorted(set(sizes)):
        raise UsageError(f"sizes of {name} must be positive integers, rising, such as (2, 4, 8); got {sizes!r}")
    return tuple(sizes)


def _operators(name: str, kind: Kind | None, operators: Sequence[str]) -> tuple[str, ...]:
    if isinstance(operators, str):
        operators = (operators,)
    for operator in map(parse_operator, operators):
        if kind not in (None, operator.kind):
            raise UsageError(f"operators of {name}: {operator} is of a {operator.kind}, and kind is {kind!r}")
    return tuple(parse_operator(operator).spec for operator in operators)


def _terms(name: str, reference: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """A reference, its result checked to be real or complex numbers of so many points."""
    count = len(required(reference))

    def terms(x: np.ndarray, *args: Any, **parameters: np.ndarray) -> np.ndarray:
        with_parameters = count > 1 + len(args)
        try:
            value = np.asarray(reference(x, *args, parameters) if with_parameters else reference(x, *args))
        except Exception as error:
            raise UsageError(f"the reference of {name} fails: {in_words(error)}") from error
        if value.shape[: x.ndim - 1] != x.shape[:-1] or value.ndim < x.ndim:
            raise ShapeError(f"the reference of {name} must give terms {(*x.shape[:-1], 'K')}, got {value.shape}")
        if value.dtype.kind not in "fiuc":
            raise UsageError(f"the reference of {name} must give numbers, got {value.dtype}")
        return value.astype(np.clongdouble if value.dtype.kind == "c" else np.longdouble)

    return terms


def _diagonal(name: str, reference: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """The reference of a diagonal, its result checked: an entry for each coordinate, of m outputs for each of these."""
    terms = _terms(name, reference)

    def diagonal(x: np.ndarray, *args: Any, **parameters: np.ndarray) -> np.ndarray:
        try:
            value = terms(x, *args, **parameters)
        except ShapeError as error:
            raise ShapeError(_shape_of_diagonal(name, x, str(error).rpartition("got ")[2])) from None
        if value.shape[-1:] != x.shape[-1:] or value.ndim > x.ndim + 1:
            raise ShapeError(_shape_of_diagonal(name, x, str(value.shape)))
        return value

    return diagonal


def _shape_of_diagonal(name: str, x: np.ndarray, found: str) -> str:
    return f"the reference of {name} must map {x.shape} to {x.shape}, the diagonal in each row; got {found}"


def _arguments(name: str, arguments: Arguments) -> Callable[[int, int, np.random.Generator], tuple[Any, ...]]:
    """The sampler of further arguments, its result checked."""

    def sampler(n: int, batch: int, rng: np.random.Generator) -> tuple[Any, ...]:
        try:
            found = arguments(n, batch, rng)
        except Exception as error:
            raise UsageError(f"arguments of {name} fail at n = {n}, batch = {batch}: {in_words(error)}") from error
        if not isinstance(found, list | tuple):
            raise UsageError(
                f"arguments of {name} must be a tuple, got {type(found).__name__}; of one argument it is (t,)"
            )
        return tuple(found)

    return sampler


def _points(name: str, points: Sampler) -> Sampler:
    """The sampler, its points checked."""

    def sampler(n: int, batch: int, rng: np.random.Generator) -> np.ndarray:
        try:
            value = np.asarray(points(n, batch, rng), dtype=np.float64)
        except JacstratError:
            raise
        except Exception as error:
            raise UsageError(f"points of {name} fail at n = {n}, batch = {batch}: {in_words(error)}") from error
        if value.shape != (batch, n):
            raise ShapeError(f"points of {name} must have shape (batch, n) = {(batch, n)}, got {value.shape}")
        if not np.isfinite(value).all():
            raise UsageError(f"points of {name} must be finite, got {value[~np.isfinite(value)][0]} at n = {n}")
        return value

    return sampler
