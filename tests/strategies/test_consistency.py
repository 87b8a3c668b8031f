"""What is said where derivatives of higher order are not right."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat.core.errors import UnsupportedError
from jacstrat.strategies.consistency import Consistency
from tests.taylor.samples import draw

X, V = draw(3, 4), draw(1, 4, seed=1)


def raising(x: Tensor, V: Tensor, order: int) -> Tensor:
    raise ValueError("of a custom Function")


def test_where_neither_is_right_what_ended_the_tape_is_the_cause() -> None:
    def f(x: Tensor) -> Tensor:
        return torch.native_layer_norm(x, (4,), None, None, 1e-5)[0].sin().sum(-1)

    with pytest.raises(UnsupportedError, match="nested reverse mode is not right .* derivative of order 3") as raised:
        Consistency(f, X, V, 4).is_right(raising)
    assert isinstance(raised.value.__cause__, ValueError)


def test_where_the_tape_raises_nested_reverse_mode_serves() -> None:
    assert not Consistency(lambda x: x.sin().sum(-1), X, V, 2).is_right(raising)
