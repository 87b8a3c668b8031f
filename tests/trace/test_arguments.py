"""Arguments go with the rows of x where their first axis is as long, and are passed as they are where it is not."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.trace.arguments import bind, is_immutable, kinds, lifted, of_rows, of_tensors, repeated, split, taken

X = torch.arange(12.0).view(4, 3)
ROWS, OTHER, NUMBER = torch.arange(8.0).view(4, 2), torch.ones(3, 2), 2.0
ARGS = (ROWS, OTHER, NUMBER)


def test_what_belongs_to_rows_is_told_by_the_length_of_its_first_axis() -> None:
    assert of_rows(X, (*ARGS, torch.tensor(4.0))) == (True, False, False, False)
    assert of_rows(X[0], (X,)) == (False,), "a single point has no rows"
    assert of_rows(torch.ones(3), (torch.ones(3),)) == (False,)


@given(st.lists(st.integers(1, 4), min_size=1).filter(lambda sizes: sum(sizes) <= 4).map(lambda s: [*s, 4 - sum(s)]))
def test_parts_are_those_of_x_and_together_the_whole(sizes: list[int]) -> None:
    parts = split(X, ARGS, sizes)
    assert [len(part[0]) for part in parts] == sizes
    torch.testing.assert_close(torch.cat([part[0] for part in parts]), ROWS)
    assert all(part[1] is OTHER and part[2] is NUMBER for part in parts)


def test_without_arguments_each_part_has_none() -> None:
    assert split(X, (), 3) == [(), ()]


def test_some_rows_take_theirs_along() -> None:
    rows, other, number = taken(X, ARGS, [2, 0])
    assert rows.tolist() == ROWS[[2, 0]].tolist()
    assert other is OTHER
    assert number is NUMBER


def test_copies_stand_one_of_all_rows_after_the_other() -> None:
    rows, other, number = repeated(X, ARGS, 3)
    torch.testing.assert_close(rows, torch.cat((ROWS, ROWS, ROWS)))
    assert other is OTHER
    assert number is NUMBER


def test_a_function_of_x_alone() -> None:
    def f(x, *args):
        return (x, *args)

    assert bind(f, ()) is f
    assert bind(f, (1, 2))(X) == (X, 1, 2)


def test_a_function_of_the_tensors_among_arguments() -> None:
    one, other = torch.ones(1), torch.zeros(1)
    f = of_tensors(lambda x, *args: (x, *args), (one, 2, one, "a"))
    assert f(X, other, one) == (X, other, 2, one, "a")


def test_fractions_are_lifted_to_tensors_and_nothing_else() -> None:
    fraction, whole, truth = lifted((0.1, 3, True))
    assert (fraction.dtype, fraction.item()) == (torch.float64, 0.1)
    assert (whole, truth) == (3, True)


def test_a_recording_holds_for_other_fractions_and_numbers_of_tensors_and_for_no_other_value() -> None:
    assert kinds((0.1, ROWS)) == kinds((0.2, ROWS + 1)) == kinds(lifted((0.3, ROWS)))
    assert kinds((ROWS,)) != kinds((ROWS.double(),))
    assert kinds((ROWS,)) != kinds((ROWS[:2],))
    assert kinds((2,)) != kinds((3,))
    assert kinds((1,)) != kinds((True,)), "which are equal, and not the same"
    assert kinds(((1, "a"),)) == kinds(((1, "a"),))


@pytest.mark.parametrize("changing", [[1], {"a": 1}, ((1, [2]),)])
def test_what_may_change_without_a_sign_is_another_one_each_time(changing) -> None:
    assert not is_immutable(changing)
    assert kinds((changing,)) != kinds((changing,))
