"""Arithmetic of truncated polynomials: coefficients in lists, the order K at which they end given each time.

With a(s) = sum a_k s^k, a product is (a b)_k = sum_j a_j b_(k-j), and y' = g z' says k y_k = sum_j j z_j g_(k-j): the
coefficients of y follow from those of g before them, and g may be a function of y. Each takes O(K^2) operations.

Source: Griewank & Walther 2008, Evaluating Derivatives, chapter 13.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from jacstrat.series.series import Polynomial

Multiply = Callable[[Any, Any], Any]


def plus(a: Polynomial, b: Polynomial) -> Polynomial:
    """a + b."""
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    return [p + q for p, q in zip(longer, shorter, strict=False)] + longer[len(shorter) :]


def scaled(a: Polynomial, factor: Any) -> Polynomial:
    """a times what does not vary."""
    return [part * factor for part in a]


def _times(p: Any, q: Any) -> Any:
    return p * q


def term(a: Polynomial, b: Polynomial, k: int, multiply: Multiply = _times) -> Any:
    """(a b)_k, where neither degree leaves it without a term."""
    return _summed(multiply(a[i], b[k - i]) for i in range(max(0, k - len(b) + 1), min(k, len(a) - 1) + 1))


def times(a: Polynomial, b: Polynomial, K: int, multiply: Multiply = _times, value: Any = None) -> Polynomial:
    """a b, by any product that is linear in both; with its value, where that is there already."""
    first = multiply(a[0], b[0]) if value is None else value
    return [first, *(term(a, b, k, multiply) for k in range(1, min(K, len(a) + len(b) - 2) + 1))]


def over(a: Polynomial, b: Polynomial, K: int) -> Polynomial:
    """a / b: y b = a, so that b_0 y_k = a_k - sum_(j>=1) b_j y_(k-j)."""
    y = [a[0] / b[0]]
    inverse = 1 / b[0]
    for k in range(1, K + 1 if len(b) > 1 else len(a)):
        before = [b[j] * y[k - j] for j in range(1, min(k, len(b) - 1) + 1)]
        part = a[k] if k < len(a) else None
        part = part if not before else -_summed(before) if part is None else part - _summed(before)
        y.append(part * inverse)
    return y


def derivative(a: Polynomial) -> Polynomial:
    """a'; of a constant the empty list."""
    return [part * k for k, part in enumerate(a) if k]


def integral(value: Any, slope: Polynomial) -> Polynomial:
    """The y with y' = slope and this value at 0."""
    return [value, *(part / (k + 1) for k, part in enumerate(slope))]


def carried(z: Polynomial, g: Polynomial, value: Any, K: int) -> Polynomial:
    """The y with y' = g z' and this value."""
    return integral(value, times(g, derivative(z), K - 1)) if len(z) > 1 else [value]


def solved(z: Polynomial, value: Any, slope: Callable[[Polynomial], Any], K: int) -> Polynomial:
    """The y with y' = g z' and this value, where g depends on y.

    Args:
        slope: From y_0 .. y_k to g_k.
    """
    y, g, dz = [value], [], derivative(z)
    for k in range(1, K + 1 if dz else 1):
        g.append(slope(y))
        y.append(term(g, dz, k - 1) / k)
    return y


def power(z: Polynomial, value: Any, p: float, K: int) -> Polynomial:
    """z^p for z_0 other than 0: z y' = p z' y, so that k z_0 y_k = sum_(j>=1) (p j - k + j) z_j y_(k-j)."""
    y, inverse = [value], 1 / z[0]
    for k in range(1, K + 1 if len(z) > 1 else 1):
        total = _summed(((p + 1) * j - k) * (z[j] * y[k - j]) for j in range(1, min(k, len(z) - 1) + 1))
        y.append(total * inverse / k)
    return y


def composed(z: Polynomial, derivatives: list[Any], K: int) -> Polynomial:
    """y = sum_k f^(k)(z_0) (z - z_0)^k / k!, from the derivatives f^(0), f^(1), ... at z_0."""
    y: Polynomial = [derivatives[0]]
    powers: Polynomial = list(z[1:])  # of z - z_0, without the zeros in front; none where z is a constant
    factorial = 1.0
    for k, one in enumerate(derivatives[1 : K + 1] if powers else (), 1):
        factorial *= k
        added = [part * (one / factorial) for part in powers]
        y = y[:k] + [p + q for p, q in zip(y[k:], added, strict=False)] + added[max(len(y) - k, 0) :]
        if k < K:
            powers = times(powers, z[1:], K - k - 1)
    return y


def _summed(parts: Iterable[Any]) -> Any:
    total = None
    for part in parts:
        total = part if total is None else total + part
    return total
