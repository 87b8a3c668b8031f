"""Functions of each entry alone with three derivatives, as text: one table for kernels, for torch and for tests.

A formula is lines of assignments that take v to y, d1, d2 and d3: s(v) and its derivatives. What it may call is in
`CALLS`, which the code of a kernel has under the same names. Lines that nobody reads cost nothing: compilers drop them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

aten = torch.ops.aten


class Curves(NamedTuple):
    """A function and its derivatives at the same places.

    Fields:
        value, first, second: s, s' and s''.
        third: s'''; None where nobody reads it.
    """

    value: Tensor
    first: Tensor
    second: Tensor
    third: Tensor | None = None


@dataclass(frozen=True)
class Formula:
    """A function of each entry.

    Fields:
        name: An identifier, the same for the same lines.
        lines: Assignments, of which the last ones are y, d1, d2 and d3 in any order.
        is_piecewise: d2 and d3 are zero: it is linear between points of no measure.
        is_singular: It is not finite at 0, where the padding of a tile stands.
    """

    name: str
    lines: tuple[str, ...]
    is_piecewise: bool = False
    is_singular: bool = False

    def __call__(self, v: Tensor) -> Curves:
        """At v by torch, each in the shape of v."""
        names: dict[str, Any] = {"v": v, **CALLS}
        exec("\n".join(self.lines), {}, names)
        return Curves(*(names[name] + torch.zeros_like(v) for name in ("y", "d1", "d2", "d3")))


# What lines may call, by torch. `numbers` brings a condition to 0 and 1.
CALLS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        **{name: getattr(torch, name) for name in ("exp", "log", "sin", "cos", "sqrt", "erf", "abs", "tanh")},
        "log1p": torch.log1p,
        "sigmoid": torch.sigmoid,
        "where": torch.where,
        "numbers": lambda condition, v: condition.to(v.dtype),
    }
)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


def _formula(name: str, text: str, **kind: bool) -> Callable[..., Formula]:
    formula = Formula(name, _lines(text), **kind)
    return lambda: formula


def _number(value: float) -> str:
    """A number as a line has it, in parentheses for a sign."""
    if not math.isfinite(value):
        raise ValueError(f"a parameter of a pointwise function is {value}")
    return f"({float(value)!r})"


def _parametrised(name: str, values: tuple[float, ...], text: str, **kind: bool) -> Formula:
    """A formula with numbers in place of {0}, {1}, ...; they are part of its name."""
    suffix = "_".join(float(value).hex().translate(_PLAIN) for value in values)
    return Formula(f"{name}_{suffix}", _lines(text.format(*map(_number, values))), **kind)


_PLAIN = str.maketrans({".": "p", "-": "m", "+": "q"})


# s = v p, p the sigmoid with p' = p q, q = 1 - p: p'' = p' (1 - 2 p), p''' = p' (1 - 6 p q).
_SILU = """
    p = sigmoid(v)
    p1 = p * (1 - p)
    p2 = p1 * (1 - 2 * p)
    y = v * p
    d1 = p + v * p1
    d2 = 2 * p1 + v * p2
    d3 = 3 * p2 + v * p1 * (1 - 6 * p * (1 - p))
"""
# s = v P with P' = p the normal density, p' = -v p: s'' = p (2 - v^2), s''' = p v (v^2 - 4).
_GELU = f"""
    P = 0.5 * (1 + erf(v * {math.sqrt(0.5)!r}))
    p = exp(-0.5 * v * v) * {1 / math.sqrt(2 * math.pi)!r}
    y = v * P
    d1 = P + v * p
    d2 = p * (2 - v * v)
    d3 = p * v * (v * v - 4)
"""
# s = v (1 + T)/2 with T = tanh w, w = a (v + b v^3); T' = (1 - T^2) w' and so on by the chain rule.
_A, _B = math.sqrt(2 / math.pi), 0.044715
_GELU_TANH = f"""
    T = tanh({_A!r} * v * (1 + {_B!r} * v * v))
    w1 = {_A!r} * (1 + {3 * _B!r} * v * v)
    w2 = {6 * _A * _B!r} * v
    r = 1 - T * T
    T1 = r * w1
    T2 = r * w2 - 2 * T * T1 * w1
    T3 = r * {6 * _A * _B!r} - 2 * T * T1 * w2 - 2 * (T1 * T1 + T * T2) * w1 - 2 * T * T1 * w2
    y = 0.5 * v * (1 + T)
    d1 = 0.5 * (1 + T + v * T1)
    d2 = T1 + 0.5 * v * T2
    d3 = 1.5 * T2 + 0.5 * v * T3
"""
_SOFTPLUS = """
    w = {0} * v
    p = sigmoid(w)
    soft = numbers(w <= {1}, v)
    y = where(w <= {1}, (log1p(exp(-abs(w))) + 0.5 * (w + abs(w))) / {0}, v)
    d1 = soft * p + 1 - soft
    d2 = soft * {0} * p * (1 - p)
    d3 = {0} * d2 * (1 - 2 * p)
"""
_RELU = """
    d1 = numbers(v > 0, v)
    y = v * d1
    d2 = 0 * v
    d3 = 0 * v
"""
_LEAKY = """
    d1 = numbers(v > 0, v) * (1 - {0}) + {0}
    y = v * d1
    d2 = 0 * v
    d3 = 0 * v
"""
# scale * (v, or a (exp(r v) - 1) where v <= 0).
_ELU = """
    below = numbers(v <= 0, v)
    e = exp({2} * 0.5 * (v - abs(v)))
    y = {1} * ((1 - below) * v + below * {0} * (e - 1))
    d1 = {1} * (1 - below + below * {0} * {2} * e)
    d2 = {1} * below * {0} * {2} * {2} * e
    d3 = {2} * d2
"""
_CLAMPED = """
    d1 = numbers(v > {0}, v) * numbers(v < {1}, v)
    y = where(v > {0}, where(v < {1}, v, 0 * v + {1}), 0 * v + {0})
    d2 = 0 * v
    d3 = 0 * v
"""


SQUARE = Formula("power2", ("y = v * v", "d1 = 2 * v", "d2 = 2 + 0 * v", "d3 = 0 * v"))
RECIPROCAL = Formula(
    "reciprocal", ("y = 1 / v", "d1 = -y * y", "d2 = -2 * y * d1", "d3 = -3 * y * d2"), is_singular=True
)


def _gelu(*, approximate: str = "none") -> Formula:
    return Formula("gelu_tanh", _lines(_GELU_TANH)) if approximate == "tanh" else Formula("gelu", _lines(_GELU))


def _softplus(beta: float = 1, threshold: float = 20) -> Formula:
    return _parametrised("softplus", (beta, threshold), _SOFTPLUS)


def _leaky(negative_slope: float = 0.01) -> Formula:
    return _parametrised("leaky_relu", (negative_slope,), _LEAKY, is_piecewise=True)


def _elu(alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Formula:
    return _parametrised("elu", (alpha, scale, input_scale), _ELU)


def _clamped(low: float = -1, high: float = 1) -> Formula:
    return _parametrised("hardtanh", (low, high), _CLAMPED, is_piecewise=True)


def _power(exponent: float) -> Formula | None:
    """A whole power, at least 2, by products; None for others, which are rarely in networks."""
    if exponent == 2:
        return SQUARE
    if exponent not in (3, 4):
        return None
    p = int(exponent)

    def power(k: int, factor: int) -> str:
        return f"{factor}{' * v' * k}" if k > 0 else f"{factor} + 0 * v"

    factors = [math.prod(range(p, p - k, -1)) for k in range(4)]
    y, *derivatives = (power(p - k, factor) for k, factor in enumerate(factors))
    return Formula(f"power{p}", (f"y = {y}", *(f"d{k} = {line}" for k, line in enumerate(derivatives, 1))))


# By operation: from its other arguments to the formula, or None where they are not covered.
FORMULAS: Mapping[Any, Callable[..., Formula | None]] = MappingProxyType(
    {
        aten.tanh.default: _formula(
            "tanh", "y = tanh(v)\n d1 = 1 - y * y\n d2 = -2 * y * d1\n d3 = d1 * (6 * y * y - 2)"
        ),
        aten.sigmoid.default: _formula(
            "logistic",
            "y = sigmoid(v)\n d1 = y * (1 - y)\n d2 = d1 * (1 - 2 * y)\n d3 = d1 * (1 - 6 * y * (1 - y))",
        ),
        aten.sin.default: _formula("sine", "y = sin(v)\n d1 = cos(v)\n d2 = -y\n d3 = -d1"),
        aten.cos.default: _formula("cosine", "y = cos(v)\n d1 = -sin(v)\n d2 = -y\n d3 = -d1"),
        aten.exp.default: _formula("exponential", "y = exp(v)\n d1 = y\n d2 = y\n d3 = y"),
        aten.log.default: _formula(
            "logarithm", "y = log(v)\n d1 = 1 / v\n d2 = -d1 * d1\n d3 = -2 * d1 * d2", is_singular=True
        ),
        aten.log1p.default: _formula("log_1p", "y = log1p(v)\n d1 = 1 / (1 + v)\n d2 = -d1 * d1\n d3 = -2 * d1 * d2"),
        aten.sqrt.default: _formula(
            "root", "y = sqrt(v)\n d1 = 0.5 / y\n d2 = -0.5 * d1 / v\n d3 = -1.5 * d2 / v", is_singular=True
        ),
        aten.rsqrt.default: _formula(
            "reciprocal_root",
            "y = 1 / sqrt(v)\n d1 = -0.5 * y / v\n d2 = -1.5 * d1 / v\n d3 = -2.5 * d2 / v",
            is_singular=True,
        ),
        aten.reciprocal.default: lambda: RECIPROCAL,
        aten.erf.default: _formula(
            "error_function",
            f"y = erf(v)\n d1 = {2 / math.sqrt(math.pi)!r} * exp(-v * v)\n d2 = -2 * v * d1\nd3 = d1 * (4 * v * v - 2)",
        ),
        aten.silu.default: _formula("silu", _SILU),
        aten.gelu.default: _gelu,
        aten.softplus.default: _softplus,
        aten.relu.default: _formula("relu", _RELU, is_piecewise=True),
        aten.leaky_relu.default: _leaky,
        aten.elu.default: _elu,
        aten.hardtanh.default: _clamped,
        aten.abs.default: _formula(
            "absolute",
            "d1 = numbers(v > 0, v) - numbers(v < 0, v)\n y = v * d1\n d2 = 0 * v\n d3 = 0 * v",
            is_piecewise=True,
        ),
        aten.pow.Tensor_Scalar: _power,
    }
)
