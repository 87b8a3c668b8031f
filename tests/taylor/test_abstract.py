"""What is known of slots before they have numbers: indices are worked out, and what they rest on is guarded."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jacstrat.taylor.abstract import AbstractValue, AbstractValues
from jacstrat.taylor.node import TaylorNode
from jacstrat.trace import Slot

aten = torch.ops.aten
X = torch.zeros(2, 5, dtype=torch.float64)
# Slots: x, an argument, two for results, then the constants.
SIZE = 4


def values(*constants: Tensor) -> AbstractValues:
    return AbstractValues(X, (torch.ones(2), 3), SIZE, list(constants))


def node(op: Any, *args: Any, shape: tuple[int, ...] = (3,), **kwargs: Any) -> TaylorNode:
    return TaylorNode(op, args, kwargs, (2,), 3, False, shapes=(torch.Size(shape),))


def test_x_is_its_own_support() -> None:
    point = values().slots[0]
    assert point.is_point
    assert point.known.tolist() == [[[1, 2, 3, 4, 5]]]


def test_an_index_is_worked_out_and_its_constant_guarded() -> None:
    index = torch.tensor([2, 0, 1])
    known = values(index)
    known.evaluate(node(aten.add.Tensor, Slot(SIZE), 1))
    assert known.slots[2].tolist() == [3, 1, 2]
    index.zero_()
    assert known.guards[0].tolist() == [2, 0, 1]  # as it was


def test_what_is_no_index_or_draws_or_rests_on_such_is_not_worked_out() -> None:
    known = values(torch.ones(3), torch.tensor([1, 2, 3]))
    known.evaluate(node(aten.add.Tensor, Slot(SIZE), 1))
    assert known.slots[2] is None
    known.evaluate(node(aten.randperm.default, 3))
    assert known.slots[2] is None
    known.evaluate(node(aten.add.Tensor, Slot(1), Slot(SIZE + 1)))  # an argument of f, of other numbers at each call
    assert known.slots[2] is None
    assert known.shapes[2] == (3,)
    known.evaluate(node(aten.arange.default, 3, device=torch.device("meta")))  # on the host all the same
    assert known.slots[2].tolist() == [0, 1, 2]


def test_a_constant_on_a_device_is_not_looked_at() -> None:
    known = values(torch.zeros(3, dtype=torch.long, device="meta"))
    assert not known.look_at([SIZE])
    assert known.guards == {}


def test_what_depends_on_x_is_noted_with_its_support() -> None:
    known = values()
    of_x = node(aten.sin.default, Slot(0), shape=(2, 5))
    known.note(of_x, (known.slots[0].known,))
    assert isinstance(known.slots[2], AbstractValue)
    assert not known.slots[2].is_point
    assert known.depends([Slot(2), 1])
    assert not known.depends(Slot(1))
    assert set(known.of(node(aten.mul.Tensor, Slot(0), Slot(2)))) == {0, 2}
