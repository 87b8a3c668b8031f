"""A jet as data: tangents that are made when they are asked for, and shapes that broadcast."""

from __future__ import annotations

import torch

from jacstrat.taylor.jet import Jet, aligned, depends, full, plus, shaped, sum_of_squares, unit_tangents, value_of

X = torch.arange(6.0).view(2, 3)


def test_the_point_itself_has_unit_tangents_once_they_are_asked_for() -> None:
    jet = Jet(X, None, is_point=True)
    assert jet.directions == 3
    torch.testing.assert_close(jet.tangents, torch.eye(3).view(3, 1, 3))
    jet.tangents = torch.ones(5, 2, 3)
    assert not jet.is_point
    assert jet.directions == 5
    jet.tangents = None
    assert jet.tangents is None, "they are not made again"
    assert unit_tangents(X[0]).shape == (3, 3)


def test_axes_along_which_nothing_changes_are_expanded_where_they_are_named() -> None:
    jet = Jet(X, torch.ones(4, 1, 1))
    assert jet.full(-1).shape == (4, 1, 3)
    assert jet.full().shape == (4, 2, 3)
    whole = torch.ones(4, 2, 3)
    assert full(whole, X.shape) is whole


def test_tangents_broadcast_with_those_of_a_value_of_higher_rank() -> None:
    assert aligned(torch.ones(4, 3), 2).shape == (4, 1, 3)
    assert sum_of_squares(2 * torch.ones(4, 3)).tolist() == [16.0, 16.0, 16.0]


def test_none_is_zero() -> None:
    assert plus(None, None) is None
    assert plus(X, None) is X
    assert plus(None, X) is X
    torch.testing.assert_close(plus(X, X), 2 * X)
    assert shaped(None, X) is None
    assert shaped(X, X) is X
    bend = shaped(torch.ones(3), X)
    assert bend is not None
    assert bend.shape == X.shape


def test_the_values_type_decides() -> None:
    jet = Jet(X.half(), torch.ones(4, 2, 3))
    assert jet.tangents is not None
    assert jet.tangents.dtype == torch.float16


def test_what_is_no_jet_does_not_depend_on_x_and_is_its_own_value() -> None:
    jet = Jet(X, None)
    assert (depends(jet), depends(X)) == (True, False)
    assert value_of(jet) is X
    assert value_of(2) == 2
