"""Central differences along a line, and whether what they differ is smooth there: derivatives without any rule.

From a function's numbers at x + k h, k = -3 .. 3. Where the derivatives from the left and from the right do not agree,
or those from near and far, there is a kink, a jump, an edge or noise within 3 h, and nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# Weights of f(x + k h), k = -3 .. 3, for h f' and h^2 f'', exact for polynomials of degree 6 and 7.
_CENTRAL = (
    (-1 / 60, 3 / 20, -3 / 4, 0.0, 3 / 4, -3 / 20, 1 / 60),
    (1 / 90, -3 / 20, 3 / 2, -49 / 18, 3 / 2, -3 / 20, 1 / 90),
)
# The same from x and the three numbers on its right, exact for degree 3.
_RIGHT = ((-11 / 6, 3.0, -3 / 2, 1 / 3), (2.0, -5.0, 4.0, -1.0))

# h by order, for a length of 1: where the truncation, h^6, is about the rounding, eps / h^order.
STEPS = {torch.float64: (3e-3, 1e-2), torch.float32: (5e-2, 1e-1)}
# By how much of their size the derivatives from the two sides may differ: truncation is h^3 and h^2 of it.
_APART = 0.05
# What is left out of the central difference, as a share of how much f varies over 3 h.
_LEFT_OUT = 1e-6
# By how much of itself a derivative may differ between two steps.
_STEADY = 0.02
# The share that is left of what the sides differ by at an eighth of the step: that of a higher derivative that jumps.
_CLOSING = 0.5


def precision(x: Tensor) -> torch.dtype:
    """The dtype in which a function of x computes now: under autocast that of its matrix products."""
    kind = x.device.type
    is_cast = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.get_autocast_dtype(kind) if is_cast else x.dtype


class Difference(NamedTuple):
    """A derivative by differences, each number by itself.

    Fields:
        value: The derivative, float64.
        is_smooth: Where it is to be believed: f is finite and smooth.
        noise: What rounding, truncation and a small jump of it, or of a higher derivative, may add to it.
    """

    value: Tensor
    is_smooth: Tensor
    noise: Tensor


def steadily(f: Callable[[float], Tensor], order: int, dtype: torch.dtype) -> Difference:
    """The derivative of f(s) at s = 0 by a step of an eighth, believed where that of the whole step is near.

    A kink within 3 h / 8 shows by its two sides, one within 3 h, or a jump of a higher derivative, by the two steps.
    Where it is not believed, and in float64 rounding leaves room, by a step of a 64th against that of an eighth.
    Cost: 14 evaluations, or 21.
    """
    far, near = _by_step(f, order, dtype, 1.0), _by_step(f, order, dtype, 1 / 8)
    difference = _steady(far, near)
    if dtype != torch.float64 or bool(difference.is_smooth.all()):
        return difference
    nearest = _steady(near, _by_step(f, order, dtype, 1 / 64))
    return Difference(
        *(torch.where(difference.is_smooth, one, two) for one, two in zip(difference, nearest, strict=True))
    )


def _steady(by_far: tuple[Difference, Tensor], by_near: tuple[Difference, Tensor]) -> Difference:
    """That of the smaller of two steps, believed where the other is near; each with what its sides differ by."""
    (far, far_sides), (near, sides) = by_far, by_near
    noise, apart = far.noise + near.noise, (far.value - near.value).abs()
    is_steady = apart <= _STEADY * near.value.abs() + noise
    # What the sides differ by falls with the step, unless the derivative itself jumps here, were it by ever so little.
    is_steady &= sides <= _CLOSING * far_sides + noise
    # Where a higher derivative jumps within the step both are off, that of the whole step by more.
    return Difference(near.value, near.is_smooth & is_steady, noise + apart + sides)


def along_line(f: Callable[[float], Tensor], order: int, dtype: torch.dtype, shrink: float = 1.0) -> Difference:
    """The derivative of f(s) at s = 0; where a higher derivative jumps it may be off by more than the noise.

    Args:
        f: From s to numbers, (...), f smooth over lengths of about 1.
        order: 1 or 2.
        dtype: In which f computes; float64 or float32.
        shrink: Of the step.

    Cost: seven evaluations.
    """
    return _by_step(f, order, dtype, shrink)[0]


def roughly(f: Callable[[float], Tensor], dtype: torch.dtype) -> Difference:
    """The first derivative of f(s) at s = 0, for what may agree with it: nothing tells whether f is smooth there.

    The step is where truncation, h^2, is the rounding, eps / h. Cost: two evaluations.
    """
    h = torch.finfo(dtype).eps ** (1 / 3)
    right, left = (f(s).detach().double() for s in (h, -h))
    value = (right - left) / (2 * h)
    return Difference(value, value.isfinite(), torch.zeros_like(value))


def _by_step(f: Callable[[float], Tensor], order: int, dtype: torch.dtype, shrink: float) -> tuple[Difference, Tensor]:
    """The derivative with a step of this share of h, and by how much those from the two sides differ."""
    h = shrink * STEPS[dtype][order - 1]
    y = torch.stack([f(k * h).detach().double() for k in range(-3, 4)])
    scale = h**order
    central = torch.tensordot(y.new_tensor(_CENTRAL[order - 1]), y, 1) / scale
    weights = y.new_tensor(_RIGHT[order - 1])
    right = torch.tensordot(weights, y[3:], 1) / scale
    left = torch.tensordot(weights, y[:4].flip(0), 1) / scale * (-1 if order == 1 else 1)
    # y(s) -+ y(-s) at s = h, 2 h, 3 h: grows as s, or s^2, but where y jumps at 0.
    ends = (y[4:] - y[:3].flip(0)) / 2 if order == 1 else y[4:] + y[:3].flip(0) - 2 * y[3]
    near, far = ends[0] / scale, ends[2] / (3 * h) ** order
    noise = (16 * torch.finfo(dtype).eps * y.abs().amax(0) + _LEFT_OUT * ends.abs().amax(0)) / scale
    allowed = _APART * torch.maximum(torch.maximum(right.abs(), left.abs()), central.abs()) + noise
    sides = (right - left).abs()
    is_smooth = torch.isfinite(central) & (sides <= allowed) & ((near - far).abs() <= allowed)
    return Difference(central, is_smooth, noise), sides
