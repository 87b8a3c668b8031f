"""What the functions of a user's own problem return, checked each time that they are called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jacstrat.core.errors import JacstratError, ShapeError, UsageError, in_words
from jacstrat.problems.arguments import required

Sampler = Callable[[int, int, np.random.Generator], np.ndarray]
Arguments = Callable[[int, int, np.random.Generator], Sequence[Any]]


def checked_terms(name: str, reference: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
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


def checked_diagonal(name: str, reference: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """The reference of a diagonal, its result checked: an entry for each coordinate, of m outputs for each of these."""
    terms = checked_terms(name, reference)

    def diagonal(x: np.ndarray, *args: Any, **parameters: np.ndarray) -> np.ndarray:
        try:
            value = terms(x, *args, **parameters)
        except ShapeError as error:
            raise ShapeError(_shape_of_diagonal(name, x, str(error).rpartition("got ")[2])) from None
        if value.shape[-1:] != x.shape[-1:] or value.ndim > x.ndim + 1:
            raise ShapeError(_shape_of_diagonal(name, x, str(value.shape)))
        return value

    return diagonal


def _shape_of_diagonal(name: str, x: np.ndarray, got: str) -> str:
    return f"the reference of {name} must map {x.shape} to {x.shape}, the diagonal in each row; got {got}"


def checked_arguments(name: str, arguments: Arguments) -> Callable[[int, int, np.random.Generator], tuple[Any, ...]]:
    """The sampler of further arguments, its result checked."""

    def sampler(n: int, batch: int, rng: np.random.Generator) -> tuple[Any, ...]:
        try:
            values = arguments(n, batch, rng)
        except Exception as error:
            raise UsageError(f"arguments of {name} fail at n = {n}, batch = {batch}: {in_words(error)}") from error
        if not isinstance(values, list | tuple):
            raise UsageError(
                f"arguments of {name} must be a tuple, got {type(values).__name__}; of one argument it is (t,)"
            )
        return tuple(values)

    return sampler


def checked_points(name: str, points: Sampler) -> Sampler:
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
