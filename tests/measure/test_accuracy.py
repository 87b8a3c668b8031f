"""Errors against their definitions."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.measure.accuracy import TOLERANCES, Tolerance, errors


def measured(result, value, scale=None, dtype=torch.float64):
    value = np.array(value, dtype=np.longdouble)
    return errors(torch.tensor(result, dtype=dtype), value, np.array(np.abs(value) if scale is None else scale))


def test_the_nearest_number_of_the_dtype_is_exact() -> None:
    third = np.longdouble(1) / 3
    found = measured([1 / 3], [third])
    assert (found.abs_error, found.rel_error, found.ulp_error, found.exact, found.within) == (0, 0, 0, True, True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
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


def test_worst_and_median_over_the_batch() -> None:
    found = measured([1.0, 2.5, 3.0, 4.25], [1.0, 2.0, 3.0, 4.0])
    assert (found.abs_error, found.abs_error_median) == (0.5, 0.125)
    assert (found.rel_error, found.rel_error_median) == (0.25, 0.03125)
    assert (found.ulp_error, found.ulp_error_median) == (2.0**50, 2.0**47)
    # One row in a hundred that is no number is infinitely wrong at worst, and not in the median.
    lost = measured([math.nan, *[1.0] * 99], [1.0] * 100)
    assert (lost.rel_error, lost.rel_error_median) == (math.inf, 0)


def test_the_error_of_a_point_is_that_of_its_worst_entry() -> None:
    found = measured([[1.0, 2.5], [3.0, 4.25], [5.0, 6.0]], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert (found.abs_error, found.abs_error_median) == (0.5, 0.25)
    single = errors(torch.tensor(2.5).double(), np.longdouble(2), np.longdouble(2))
    assert (single.abs_error, single.abs_error_median) == (0.5, 0.5)


def test_an_answer_beyond_the_range_is_not_right_though_it_rounds_to_infinity() -> None:
    found = measured([math.inf, 1.0], [7e4, 1.0], dtype=torch.float16)
    assert (found.rel_error, found.exact, found.in_range, found.within) == (0, False, False, False)
    # An answer that is infinite itself is in the range of every dtype.
    assert measured([math.inf], [math.inf], dtype=torch.float16).in_range


def test_a_tolerance_is_a_multiple_of_epsilon_with_a_reason() -> None:
    for name, tolerance in TOLERANCES.items():
        assert tolerance.dtype == name
        assert tolerance.why
        # Far from 1, where a result without one right digit would pass; and a few roundings are always forgiven.
        assert 8 * tolerance.epsilon <= tolerance.value < 0.4
    epsilons = {name: torch.finfo(getattr(torch, name)).eps for name in TOLERANCES if name != "tf32"}
    assert {name: TOLERANCES[name].epsilon for name in epsilons} == epsilons
    # Ten bits after the point, as NVIDIA has it; float16 has as many.
    assert TOLERANCES["tf32"].epsilon == epsilons["float16"]
    assert str(Tolerance("float8", 0.25, 2, "")) == "0.5 of float8"


@pytest.mark.parametrize(("name", "value"), [("float32", 1.2e-4), ("tf32", 1.6e-2), ("bfloat16", 3.5e-1)])
def test_a_result_is_judged_by_the_tolerance_of_its_name(name: str, value: float) -> None:
    dtype = torch.bfloat16 if name == "bfloat16" else torch.float32
    assert TOLERANCES[name].value == pytest.approx(value, rel=0.05)
    for factor, right in ((0.9, True), (1.1, False)):
        # Relative to terms of size 1024, so that the result can be this far off in any dtype.
        off = torch.tensor([1024 * TOLERANCES[name].value * factor], dtype=dtype)
        found = errors(off, np.zeros(1, np.longdouble), np.full(1, 1024), name)
        assert (found.within, found.tolerance.dtype) == (right, name)


def test_no_tolerance_is_below_what_the_reference_is_uncertain_by() -> None:
    one = np.ones(1, np.longdouble)
    for uncertainty, within in ((0.0, False), (1e-9, False), (1.1e-8, True)):
        found = errors(torch.tensor([1 + 1e-8], dtype=torch.float64), one, one, uncertainty=uncertainty)
        assert found.within is within
        assert found.tolerated == max(TOLERANCES["float64"].value, uncertainty)


def test_the_page_has_the_tolerances_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "accuracy.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (\S+) \| (\S+) \| (.*) \|$", page, re.MULTILINE)
    assert rows == [
        (name, f"{t.epsilon:.2g}", f"{t.multiple:.4g}", f"{t.value:.2g}", t.why) for name, t in TOLERANCES.items()
    ]
