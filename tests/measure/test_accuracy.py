"""Errors against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.measure.accuracy import TOLERANCE, errors


def measured(result, value, scale=None, dtype=torch.float64):
    value = np.array(value, dtype=np.longdouble)
    return errors(torch.tensor(result, dtype=dtype), value, np.array(np.abs(value) if scale is None else scale))


def test_the_nearest_number_of_the_dtype_is_exact() -> None:
    third = np.longdouble(1) / 3
    found = measured([1 / 3], [third])
    assert (found.abs_error, found.rel_error, found.ulp_error, found.exact, found.within) == (0, 0, 0, True, True)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("value", [1.0, 1.5, -3.0, 1024.0, 1e-3])
def test_one_step_is_one_ulp(dtype: torch.dtype, value: float) -> None:
    best = torch.tensor(value, dtype=dtype)
    step = torch.nextafter(best, torch.tensor(math.copysign(torch.finfo(dtype).max, value), dtype=dtype))
    found = errors(step[None], best.double().numpy()[None].astype(np.longdouble), np.ones(1))
    assert found.ulp_error == 1
    assert not found.exact
    assert found.abs_error == abs(step.item() - best.item())


def test_relative_to_the_terms_so_that_a_trace_near_zero_is_not_excused() -> None:
    # 1e6 - 1e6 + 1e-6: an error of 1e-6 is nothing beside terms of 1e6, and everything beside the sum.
    assert measured([2e-6], [1e-6], scale=[2e6]).rel_error == pytest.approx(5e-13)
    assert measured([2e-6], [1e-6], scale=[1e-6]).rel_error == pytest.approx(1)


def test_the_worst_of_the_batch_counts() -> None:
    found = measured([1.0, 2.0, 3.5], [1.0, 2.0, 3.0])
    assert (found.abs_error, found.within) == (0.5, False)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_infinitely_wrong(bad: float) -> None:
    found = measured([1.0, bad], [1.0, 2.0])
    assert found.rel_error == found.abs_error == math.inf
    assert not found.finite
    assert not found.within


def test_terms_that_vanish_excuse_no_error() -> None:
    assert measured([0.0], [0.0], scale=[0.0]).within
    assert measured([1e-300], [0.0], scale=[0.0]).rel_error == math.inf


def test_the_step_from_zero_is_the_smallest_number() -> None:
    assert measured([5e-324], [0.0], scale=[1.0]).ulp_error == 1


def test_an_empty_batch_is_exact() -> None:
    assert measured([], []).exact


@given(st.floats(-1e6, 1e6), st.integers(-3, 3))
def test_ulp_error_counts_steps(value: float, steps: int) -> None:
    result = value
    for _ in range(abs(steps)):
        result = math.nextafter(result, math.copysign(math.inf, steps))
    if math.frexp(value)[1] == math.frexp(result)[1] and value != 0:
        assert measured([result], [value]).ulp_error == abs(steps)
