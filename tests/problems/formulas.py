"""Every problem's function once more, in mpmath from its formula, to check the hand-derived diagonals against."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from mpmath import mp, mpf

Vector = Sequence[Any]


def exact(value: Any) -> mpf:
    """A float64 or longdouble as an mpf, exactly: two doubles hold every digit of a longdouble."""
    high = float(value)
    return mpf(high) + mpf(float(value - np.longdouble(high)))


def product(A: Sequence[Vector], x: Vector) -> list[Any]:
    return [mp.fsum(a * b for a, b in zip(row, x, strict=True)) for row in A]


def square(x: Vector) -> Any:
    return mp.fsum(a * a for a in x)


def pi() -> mpf:
    """The double that the functions multiply by, not the number."""
    return mpf(math.pi)


def ring(term: Callable[..., Any], x: Vector, *shifts: int) -> list[Any]:
    n = len(x)
    return [term(*(x[(i + shift) % n] for shift in shifts)) for i in range(n)]


def bratu(x: Vector) -> list[Any]:
    padded = [0, *x, 0]
    return [padded[i + 2] - 2 * a + padded[i] + mp.exp(a) for i, a in enumerate(x)]


def network(x: Vector, hidden: int, weights: dict[str, Any]) -> list[Any]:
    def layer(number: int, a: Vector) -> list[Any]:
        return [s + b for s, b in zip(product(weights[f"W{number}"], a), weights[f"b{number}"], strict=True)]

    for number in range(1, hidden + 1):
        x = [mp.tanh(z) for z in layer(number, x)]
    return layer(hidden + 1, x)


def softmax(x: Vector) -> list[Any]:
    total = mp.fsum(mp.exp(a) for a in x)
    return [mp.exp(a) / total for a in x]


def rosenbrock(x: Vector) -> Any:
    return mp.fsum(100 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in pairwise(x))


def two_body(x: Vector, c: Vector) -> Any:
    terms = zip(c, x, x[1:], strict=False)
    return (1 - square(x)) * mp.fsum(k * mp.sin(a + mp.cos(b) + b * mp.cos(a)) for k, a, b in terms)


def three_body(x: Vector, c: Vector) -> Any:
    terms = zip(c, x, x[1:], x[2:], strict=False)
    return (1 - square(x)) * mp.fsum(k * mp.exp(a * b * d) for k, a, b, d in terms)


def lorenz96(x: Vector) -> list[Any]:
    return ring(lambda a, after, before, second: (after - second) * before - a + 8, x, 0, 1, -1, -2)


def burgers(x: Vector) -> list[Any]:
    nu = mpf(0.01)
    return ring(
        lambda a, after, before: -a * (after - before) / 2 + nu * (after - 2 * a + before),
        x,
        0,
        1,
        -1,
    )


FORMULAS: dict[str, Callable[..., Any]] = {
    "sin": lambda x: [mp.sin(a) for a in x],
    "sin_sum": lambda x: mp.fsum(mp.sin(a) for a in x),
    "seed_product": lambda x: (x[0] + x[1]) * (x[1] + 3),
    "squared_norm": square,
    "seed_coupled": lambda x, A: [a * b for a, b in zip(product(A, x), x, strict=True)],
    "linear": lambda x, A: product(A, x),
    "softmax": softmax,
    "cubic": lambda x: [a * square(x) for a in x],
    "lorenz96": lorenz96,
    "bratu": bratu,
    "burgers": burgers,
    "sine_product": lambda x: mp.fprod(mp.sin(pi() * a) for a in x),
    "cosine_sum": lambda x: mp.fsum(mp.cos(pi() * a) for a in x),
    "bilinear": lambda x: mp.fsum(a * b for a, b in zip(x[0::2], x[1::2], strict=True)),
    "log_quadratic": lambda x: mp.log((1 + square(x)) / 2),
    "gaussian": lambda x: mp.exp(-square(x) / (2 * len(x))),
    "logsumexp": lambda x: mp.log(mp.fsum(mp.exp(a) for a in x)),
    "quadratic": lambda x, A: mp.fsum(a * b for a, b in zip(product(A, x), x, strict=True)),
    "rosenbrock": rosenbrock,
    "exponential": lambda x: mp.exp(-mp.sqrt(square(x))),
    "inverse_distance": lambda x: 1 / mp.sqrt(square(x)),
    "two_body": two_body,
    "three_body": three_body,
    "tanh_field": lambda x, **weights: network(x, 2, weights),
    "tanh_scalar": lambda x, **weights: network(x, 3, weights)[0],
    "decaying": lambda x, A: mp.fsum(a * b for a, b in zip(product(A, x), x, strict=True)) / 2,
}
