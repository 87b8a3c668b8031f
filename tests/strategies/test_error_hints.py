"""Whose fault it is when a strategy fails: torch's limits, the strategy's, or f's own, and the likely cause of that."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from jacstrat import ShapeError, UnsupportedError, UsageError
from jacstrat.strategies.error_hints import hinted

X = torch.ones(2, 3)
T = torch.arange(5.0).unsqueeze(-1)


def fails(error: BaseException, f: Callable[[Tensor], Tensor] = torch.sin, x: Tensor = X) -> None:
    with hinted("s", f, x):
        raise error


def runs(f: Callable[[Tensor], Tensor], x: Tensor = X) -> None:
    with hinted("s", f, x):
        f(x)


def test_nothing_is_told_where_nothing_is_raised() -> None:
    called = []
    with hinted("s", called.append, X):
        pass
    assert called == []


@pytest.mark.parametrize(
    "error", [ShapeError("mine"), UnsupportedError("mine"), MemoryError(), torch.OutOfMemoryError()]
)
def test_what_needs_no_telling_goes_through(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised:
        fails(error)
    assert raised.value is error


def test_an_interrupt_goes_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        fails(KeyboardInterrupt())


def test_a_limit_of_torch_is_told_in_its_words() -> None:
    error = RuntimeError("Batching rule not implemented for aten::foo. We could not generate a fallback.")
    with pytest.raises(
        UnsupportedError, match="^s cannot differentiate this function: vmap: aten::foo has no "
    ) as told:
        fails(error)
    assert told.value.__cause__ is error


def test_what_f_does_not_raise_is_the_strategys_inability() -> None:
    error = IndexError("list index\n out of range")
    message = "^s cannot differentiate this function: IndexError: list index out of range$"
    with pytest.raises(UnsupportedError, match=message) as told:
        fails(error)
    assert told.value.__cause__ is error
    with pytest.raises(UnsupportedError) as told:
        fails(ValueError(1000 * "a"))
    assert len(str(told.value)) < 400


def test_an_exception_of_f_is_its_own_and_has_a_note() -> None:
    def broken(x: Tensor) -> Tensor:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="^mine\n") as raised:
        runs(broken)
    assert raised.value.__notes__ == ["f itself raises this for x of shape (2, 3), whatever the strategy"]


def test_a_function_of_one_point_is_to_be_vmapped() -> None:
    A = torch.eye(3)

    def of_a_point(x: Tensor) -> Tensor:
        return torch.dot(x, A @ x)

    message = (
        r"^f raises RuntimeError: mat1 and mat2 .* for x of shape \(2, 3\); "
        r"it takes one point and not a batch: give torch\.func\.vmap\(f\)$"
    )
    with pytest.raises(UsageError, match=message):
        runs(of_a_point)
    runs(torch.func.vmap(of_a_point))


def test_a_function_of_another_number_of_rows_says_how_many() -> None:
    def at_times(x: Tensor) -> Tensor:
        return torch.cat((x, T, time), -1)

    time = torch.zeros(5, 1)
    message = (
        r"^f raises RuntimeError: .* for x of shape \(2, 3\); "
        r"it takes 5 rows, as many as a tensor that it holds has: give as many points$"
    )
    with pytest.raises(UsageError, match=message):
        runs(at_times)
    runs(at_times, X[:1].expand(5, 3))


def test_a_cause_is_told_only_where_it_is_one() -> None:
    weights = torch.ones(4, 4)
    for f in (lambda x: x @ weights, partial(torch.mm, mat2=weights)):
        with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied") as raised:
            runs(f)
        assert "whatever the strategy" in raised.value.__notes__[0]


def test_a_variable_without_a_value_is_no_cause() -> None:
    def early(x: Tensor) -> Tensor:
        return x * later

    with pytest.raises(NameError, match="later"):
        runs(early)
    later = 1.0
    runs(early)


def test_within_a_transform_f_is_not_called_again() -> None:
    calls = []

    def broken(x: Tensor) -> Tensor:
        calls.append(x)
        raise ZeroDivisionError("mine")

    with pytest.raises(UnsupportedError, match="^s cannot differentiate this function: ZeroDivisionError: mine$"):
        torch.func.vmap(lambda x: runs(broken, x))(X)
    assert len(calls) == 1


def test_f_is_asked_without_gradients_and_leaves_none() -> None:
    seen = []

    def watched(x: Tensor) -> Tensor:
        seen.append((x.requires_grad, torch.is_grad_enabled()))
        return x

    with pytest.raises(UnsupportedError):
        fails(ValueError("other"), watched, X.clone().requires_grad_())
    assert seen == [(False, False)]
