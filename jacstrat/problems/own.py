"""A user's own problem: from a function, a module, a class or a factory, as it is or described by @problem."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from jacstrat.core.errors import JacstratError, ShapeError, UsageError, in_words, unknown
from jacstrat.problems.base import OPERATORS, Kind, Problem, uniform

# Where a user names no sizes: as many as show a slope, and few enough to wait for.
SIZES = (1, 2, 4, 8, 16)
STRUCTURES = ("diagonal", "tridiagonal", "banded", "dense", "unknown")
UNKNOWN_ANSWER = "none known: the reference is a dense autograd matrix"
Sampler = Callable[[int, int, np.random.Generator], np.ndarray]


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
        UsageError: It is none of these; says what it is.
    """
    if isinstance(found, Problem):
        return found
    function, factory = _function(found, name)
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
) -> Any:
    """Make a Problem of a function, a module, a class of one or a factory; with or without arguments.

    Args:
        function: What `as_problem` takes.
        name: As in tables; the function's own unless given.
        kind: "field", (B, n) -> (B, n), or "scalar", (B, n) -> (B,); None to say which by the operator.
        reference: The diagonal J_ii of the field's Jacobian, or H_ii of the scalar's Hessian, derived by hand:
            `reference(x)` in numpy, (B, n) -> (B, n), x in numpy.longdouble; or `reference(x, parameters)`, with the
            parameters of the module by name, numpy too. Without one the reference is a dense autograd matrix.
        sizes: Values of n to measure where none are asked for, rising.
        points: Points in the domain, (batch, n): `points(n, batch, rng)`, rng a numpy.random.Generator; uniform in
            [-1, 1)^n unless given.
        domain: Where the points lie, in words.
        structure: Of J or H: "diagonal", "tridiagonal", "banded", "dense" or "unknown".
        formula, answer, origin: The function, the operator's closed form, and where it comes from, a line each.

    Returns:
        The Problem; or, called without a function, the decorator that makes it.

    Raises:
        UsageError: An argument is none; says which, and what it may be.
    """

    def made(function: Callable[..., Any]) -> Problem:
        own = _name(function, name)
        body, factory = _function(function, own)
        _check(own, kind, structure, reference, points)
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
        )

    return made if function is None else made(function)


def _function(found: object, name: str) -> tuple[Callable[..., Any], bool]:
    """The function or the factory, and whether it is a factory."""
    if isinstance(found, type):
        return _class(found, name), True
    if not callable(found):
        raise UsageError(f"{name} is a {type(found).__name__}, neither a Problem nor a function of x")
    return found, not isinstance(found, torch.nn.Module) and _parameters(found)[1] == ["n"]


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
    if kind not in OPERATORS:
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


def _diagonal(name: str, reference: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """The reference, its result checked."""
    with_parameters = len(_parameters(reference)[1]) > 1

    def diagonal(x: np.ndarray, **parameters: np.ndarray) -> np.ndarray:
        try:
            value = np.asarray(reference(x, parameters) if with_parameters else reference(x))
        except Exception as error:
            raise UsageError(f"the reference of {name} fails: {in_words(error)}") from error
        if value.shape != x.shape:
            raise ShapeError(
                f"the reference of {name} must map {x.shape} to {x.shape}, the diagonal in each row; got {value.shape}"
            )
        if value.dtype.kind not in "fiu":
            raise UsageError(f"the reference of {name} must give real numbers, got {value.dtype}")
        return value.astype(np.longdouble)

    return diagonal


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
