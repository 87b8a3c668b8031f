"""A truncated series as data: its coefficients as a polynomial, as tangents, and back."""

from __future__ import annotations

import torch

from jacstrat.series.series import TaylorSeries, from_jet, polynomial_of, rank_of, value_of

VALUE = torch.arange(6.0).view(2, 3)
TAIL = torch.arange(1.0, 9.0).view(2, 4, 1)  # order 2, four directions, the same for all rows and entries


def test_coefficients_broadcast_with_those_of_a_value_of_higher_rank() -> None:
    series = TaylorSeries(torch.ones(3), torch.ones(2, 4, 3))
    assert series.directions == 4
    assert [tuple(part.shape) for part in series.polynomial(2)] == [(3,), (4, 1, 3), (4, 1, 3)]
    assert series.full().tail.shape == (2, 4, 3)


def test_a_series_of_a_polynomial_without_a_tail_is_its_value() -> None:
    assert TaylorSeries.of(VALUE, [VALUE]) is VALUE
    made = TaylorSeries.of(VALUE, [VALUE, torch.ones(4, 1, 3), torch.ones(4, 2, 1)])
    assert isinstance(made, TaylorSeries)
    assert made.tail.shape == (2, 4, 2, 3)


def test_tangents_and_back_with_zeros_for_what_is_missing() -> None:
    series = TaylorSeries(VALUE, TAIL)
    jet = series.jet(3)
    assert jet.directions == 12
    back = from_jet(jet, 4)
    torch.testing.assert_close(back.tail, torch.cat((TAIL, torch.zeros(1, 4, 1))))
    assert from_jet(VALUE, 4) is VALUE


def test_the_values_type_decides() -> None:
    assert TaylorSeries(torch.ones(3, dtype=torch.float16), torch.ones(1, 2, 3)).tail.dtype == torch.float16


def test_values_are_found_within_lists() -> None:
    series = TaylorSeries(VALUE, TAIL)
    first, (second, third) = value_of((series, [2, series]))
    assert first is third is VALUE
    assert second == 2
    assert rank_of(series, torch.ones(3), 2) == 2
    assert polynomial_of(2, 3) == [2]
