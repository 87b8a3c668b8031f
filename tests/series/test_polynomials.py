"""Arithmetic of truncated polynomials, against numpy's of whole ones, and by the equations that it solves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import polynomial

from jacstrat.series.polynomials import (
    carried,
    composed,
    derivative,
    integral,
    over,
    plus,
    power,
    scaled,
    solved,
    term,
    times,
)

K = 5
numbers = st.integers(-4, 4).map(float)
polynomials = st.lists(numbers, min_size=1, max_size=K + 1)
# Whose value is no zero, so that there is a quotient, a root and a logarithm.
positive = st.tuples(st.integers(1, 3).map(float), st.lists(numbers, max_size=K)).map(lambda z: [z[0], *z[1]])


def whole(a: list[float]) -> np.ndarray:
    """With as many coefficients as the order says; those that are left out are zero."""
    assert len(a) <= K + 1
    return np.array([*a, *[0.0] * (K + 1 - len(a))])


@given(polynomials, polynomials, numbers)
def test_sums_and_products_are_numpys_cut_off_at_the_order(a, b, factor) -> None:
    np.testing.assert_array_equal(whole(plus(a, b)), whole([*polynomial.polyadd(a, b)]))
    np.testing.assert_array_equal(whole(scaled(a, factor)), factor * whole(a))
    product = np.convolve(a, b)
    np.testing.assert_array_equal(whole(times(a, b, K)), whole([*product[: K + 1]]))
    np.testing.assert_array_equal([term(a, b, k) for k in range(len(product))], product)
    assert times(a, b, K, value=7.0)[0] == 7.0


@given(polynomials, positive)
def test_a_quotient_times_the_divisor_is_the_dividend(a, b) -> None:
    np.testing.assert_allclose(whole(times(over(a, b, K), b, K)), whole(a), atol=1e-6 * 4.0**K)


@given(polynomials)
def test_an_integral_is_the_inverse_of_a_derivative(a) -> None:
    np.testing.assert_allclose(whole(integral(a[0], derivative(a))), whole(a))
    assert derivative(a[:1]) == []


@given(positive, st.sampled_from([2, 3, -1, 0.5]))
def test_powers_solve_their_equation(z, p) -> None:
    y = power(z, z[0] ** p, p, K)
    expected = {2: lambda: times(z, z, K), 3: lambda: times(times(z, z, K), z, K), -1: lambda: over([1.0], z, K)}
    if p in expected:
        np.testing.assert_allclose(whole(y), whole(expected[p]()), rtol=1e-6, atol=1e-6)
    else:
        np.testing.assert_allclose(whole(times(y, y, K)), whole(z), rtol=1e-6, atol=1e-5)


@given(st.lists(numbers, min_size=2, max_size=K + 1))
def test_three_ways_to_an_exponential_agree(z) -> None:
    """y' = y z', solved for y; the same with y given; and Faa di Bruno's sum of the derivatives, all of them exp."""
    value = math.exp(z[0])
    y = solved(z, value, lambda y: y[-1], K)
    np.testing.assert_allclose(whole(carried(z, y, value, K)), whole(y), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(whole(composed(z, [value] * (K + 1), K)), whole(y), rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("call", [lambda z: power(z, 8.0, 3, K), lambda z: solved(z, 8.0, lambda y: y[-1], K)])
def test_what_does_not_vary_has_a_value_and_no_more(call) -> None:
    assert call([2.0]) == [8.0]
    assert carried([2.0], [1.0, 2.0], 8.0, K) == [8.0]
    assert [composed([2.0], [8.0, 12.0, 12.0, 6.0][: k + 1], k) for k in range(4)] == [[8.0]] * 4
