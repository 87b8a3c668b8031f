"""Derivatives by differences: right where a function is smooth, and not believed where it is not."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jacstrat.strategies.differences import STEPS, Difference, along_line, precision, steadily
from jacstrat.strategies.truth import TOLERANCE

pytestmark = pytest.mark.long(but_one_in=3)

ORDERS = (1, 2)
both = pytest.mark.parametrize("differ", [along_line, steadily])
each_order = pytest.mark.parametrize("order", ORDERS)


def on_line(f: Callable[[Tensor], Tensor], dtype: torch.dtype = torch.float64) -> Callable[[float], Tensor]:
    return lambda s: f(torch.tensor(s, dtype=dtype))


@both
@pytest.mark.parametrize(("order", "degree"), [(1, 6), (2, 7)])
def test_polynomials_are_exact(differ, order: int, degree: int) -> None:
    coefficients = [1.0 + 0.5 * k for k in range(degree + 1)]
    found = differ(on_line(lambda s: sum(c * s**k for k, c in enumerate(coefficients))), order, torch.float64)
    assert bool(found.is_smooth)
    assert float(found.value) == pytest.approx(math.factorial(order) * coefficients[order], rel=1e-8)


@both
@each_order
@pytest.mark.parametrize("dtype", STEPS)
@pytest.mark.parametrize("shift", [0.0, 30.0])
def test_the_noise_is_no_less_than_the_error(differ, order: int, dtype: torch.dtype, shift: float) -> None:
    found = differ(on_line(lambda s: (s + 1).sin() + shift, dtype), order, dtype)
    assert bool(found.is_smooth)
    assert found.value.dtype == torch.float64
    exact = math.cos(1) if order == 1 else -math.sin(1)
    # The number 1.0 + s is itself rounded in float32.
    assert abs(float(found.value) - exact) <= float(found.noise) + 2 * torch.finfo(dtype).eps
    if shift == 0:
        assert float(found.noise) <= 1e-4 if dtype == torch.float64 else 0.03


def h_of(order: int) -> float:
    return STEPS[torch.float64][order - 1]


ROUGH: dict[str, Callable[[Tensor], Tensor]] = {
    "kink": lambda s: s.abs(),
    "jump": lambda s: (s >= 0) + s.exp(),
    "root": lambda s: s.abs().sqrt(),
    "pole": lambda s: 1 / s,
    "edge": lambda s: s.sqrt(),
    "noise": lambda s: 1e-2 * (1e7 * s).sin() + s.exp(),
}
# The same at the whole step h or more from 0, with the first and second derivative at 0.
BESIDE: dict[str, tuple[Callable[[Tensor, float], Tensor], Callable[[float], tuple[float, float]]]] = {
    "kink": (lambda s, h: (s - 2 * h).abs(), lambda h: (-1.0, 0.0)),
    "kink of something smooth": (lambda s, h: (s - h).relu() + s.sin(), lambda h: (1.0, 0.0)),
    "jump": (lambda s, h: 0.1 * (s >= 2 * h) + s.exp(), lambda h: (1.0, 1.0)),
    "pole": (lambda s, h: 1 / (s - h), lambda h: (-1 / h**2, -2 / h**3)),
    "edge": (lambda s, h: (s + 2.5 * h).sqrt(), lambda h: (0.5 / (2.5 * h) ** 0.5, -0.25 / (2.5 * h) ** 1.5)),
}


@both
@each_order
@pytest.mark.parametrize("name", ROUGH)
def test_what_is_not_smooth_is_not_believed(differ, order: int, name: str) -> None:
    assert not bool(differ(on_line(ROUGH[name]), order, torch.float64).is_smooth)


@each_order
@pytest.mark.parametrize("name", BESIDE)
def test_what_is_smooth_nearer_by_is_found_at_a_smaller_step(order: int, name: str) -> None:
    f, exact = BESIDE[name]
    h = h_of(order)
    far = along_line(on_line(lambda s: f(s, h)), order, torch.float64)
    assert not bool(far.is_smooth)
    found = steadily(on_line(lambda s: f(s, h)), order, torch.float64)
    assert bool(found.is_smooth)
    assert float(found.value) == pytest.approx(exact(h)[order - 1], rel=TOLERANCE[torch.float64], abs=1e-6)
    closer = along_line(on_line(lambda s: f(s, h)), order, torch.float64, shrink=1 / 64)
    assert bool(closer.is_smooth)
    assert float(closer.value) == pytest.approx(float(found.value), rel=TOLERANCE[torch.float64], abs=1e-6)


@both
@each_order
def test_what_is_beyond_three_steps_is_no_matter(differ, order: int) -> None:
    h = h_of(order)
    found = differ(on_line(lambda s: (s - 3.1 * h).abs() + s * s), order, torch.float64)
    assert bool(found.is_smooth)
    assert float(found.value) == pytest.approx(-1.0 if order == 1 else 2.0)


@both
def test_each_number_is_judged_by_itself(differ) -> None:
    found = differ(on_line(lambda s: torch.stack((s.sin(), s.abs(), (s - 1e-3).log()))), 1, torch.float64)
    assert found.is_smooth.tolist() == [True, False, False]
    assert float(found.value[0]) == pytest.approx(1.0)


def test_a_jump_of_the_second_derivative_within_the_step_shows_at_two_steps() -> None:
    def f(s: Tensor) -> Tensor:
        return (s - h_of(1)).relu().square() + s

    far, near = (differ(on_line(f), 1, torch.float64) for differ in (along_line, steadily))
    assert bool(far.is_smooth)
    assert abs(float(far.value) - 1) > TOLERANCE[torch.float64]
    assert bool(near.is_smooth)
    assert float(near.value) == pytest.approx(1.0, abs=1e-12)


@each_order
@pytest.mark.parametrize("dtype", STEPS)
@pytest.mark.parametrize("power", [1, 2, 3, 4])
def test_wherever_a_derivative_jumps_nothing_wrong_is_believed(order: int, dtype: torch.dtype, power: int) -> None:
    h = STEPS[dtype][order - 1]
    smooth = 0.7 * math.cos(0.4) if order == 1 else -0.49 * math.sin(0.4)
    for size in (1e-3, 1e-2, 0.1, 1.0, 10.0):
        for place in (-2.6, -1.0, -0.3, -0.05, 0.0, 0.05, 0.3, 1.0, 2.6):

            def f(s: Tensor, size=size, edge=place * h) -> Tensor:
                return size * (s - edge).relu().pow(power) + (0.7 * s + 0.4).sin()

            found = steadily(on_line(f, dtype), order, dtype)
            # Of the two sides of a jump of the derivative itself autograd has either one.
            for side in {place <= 0, place < 0}:
                steps = math.perm(power, order) * (-place * h) ** (power - order) if side and power >= order else 0.0
                exact = smooth + size * steps
                off = abs(float(found.value) - exact)
                assert not bool(found.is_smooth) or off <= TOLERANCE[dtype] * abs(exact) + float(found.noise)


def test_precision_is_that_of_the_products() -> None:
    x = torch.ones(2)
    assert precision(x) == torch.float32
    assert precision(x.double()) == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        assert precision(x) == torch.bfloat16
    with torch.autocast("cpu", enabled=False):
        assert precision(x) == torch.float32


def test_a_difference_has_the_axes_of_its_function() -> None:
    found = along_line(lambda s: torch.full((2, 3), s), 1, torch.float64)
    assert isinstance(found, Difference)
    assert {tensor.shape for tensor in found} == {(2, 3)}
    torch.testing.assert_close(found.value, torch.ones(2, 3, dtype=torch.float64))


@each_order
@pytest.mark.parametrize("share", [0.04, 0.01, 0.001])
def test_a_derivative_that_jumps_by_ever_so_little_is_not_believed(order: int, share: float) -> None:
    # As where entries tie: the convention of autograd need not lie between the two sides.
    def bent(s: Tensor) -> Tensor:
        return (s + 1).exp() + share * s ** (order - 1) * s.abs()

    assert not bool(steadily(on_line(bent), order, torch.float64).is_smooth)
    # A jump of the next derivative is another matter.
    assert bool(steadily(on_line(lambda s: (s + 1).exp() + share * s**order * s.abs()), order, torch.float64).is_smooth)
