"""Torch's errors: which are limits of a strategy, and what is said of them."""

from __future__ import annotations

import pytest
import torch

from jacstrat import UnsupportedError
from jacstrat.strategies.limits import limit, within_limits


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "Trying to use forward AD with _cdist_forward that does not support it because\nit has not",
            "_cdist_forward has no forward-mode rule in torch",
        ),
        ("derivative for aten::_x_backward is not implemented", "aten::_x_backward has no derivative in torch"),
        ("the derivative for '_cdist_backward' is not implemented.", "_cdist_backward has no derivative in torch"),
        ("Batching rule not implemented for aten::foo. We could not", "vmap: aten::foo has no batching rule in torch"),
        ("Attempted to vmap over aten::x: dynamic shape. Attempted to vmap over aten::nonzero.", None),
        ("vmap: something new. Second sentence. Third", "vmap: something new. Second sentence"),
        (
            "You must implement the jvp function for custom autograd.Function to use it",
            "a custom autograd.Function has no jvp, the rule of forward mode",
        ),
    ],
)
def test_the_operation_is_named(text: str, words: str | None) -> None:
    words = words or "vmap: aten::nonzero has a result whose shape depends on values"
    assert limit(RuntimeError(text)) == words
    with pytest.raises(UnsupportedError) as raised, within_limits("jvp"):
        raise NotImplementedError(text)
    assert str(raised.value) == f"jvp cannot differentiate this function: {words}"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ValueError("vmap: mine"),
        torch.OutOfMemoryError("vmap: out of memory"),
    ],
)
def test_what_is_no_limit_goes_through(error: Exception) -> None:
    assert limit(error) is None
    with pytest.raises(type(error)) as raised, within_limits("vmap"):
        raise error
    assert raised.value is error
