"""Transfer functions by hand: which coordinates an entry depends on behind each kind of operation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from jacstrat.taylor.abstract import AbstractValue, AbstractValues
from jacstrat.taylor.fallback import ANY
from jacstrat.taylor.node import TaylorNode
from jacstrat.taylor.plan import Summed
from jacstrat.taylor.table import TAYLOR_RULES
from jacstrat.taylor.transfer import Transfer, transfer
from jacstrat.trace import Slot

aten = torch.ops.aten
N = 12
X = torch.zeros(2, N, dtype=torch.float64)
# Entry (k, i) of each point depends on coordinate 3 k + i + 1; four rows of three.
SUPPORT = torch.arange(1, N + 1).view(1, 1, 4, 3)
PLACES = torch.tensor([2, 0])
V, W, INDEX, SIZE = Slot(1), Slot(2), Slot(4), 4


def result(op: Any, *args: Any, second: Tensor = SUPPORT, **kwargs: Any) -> Transfer | None:
    """What an operation does to V, with the support above, and perhaps to W."""
    values = AbstractValues(X, (), SIZE, [PLACES])
    for slot, support in ((1, SUPPORT), (2, second)):
        values.slots[slot] = AbstractValue(torch.Size((2, 4, 3)), support)
        values.shapes[slot] = torch.Size((2, 4, 3))
    samples = {1: X.view(2, 4, 3), 2: X.view(2, 4, 3), 4: PLACES}

    def at(tree: Any) -> Any:
        if isinstance(tree, Slot):
            return samples[tree.index]
        return type(tree)(map(at, tree)) if isinstance(tree, (tuple, list)) else tree

    out = op(*at(args), **kwargs)
    outs = tuple(out) if isinstance(out, (tuple, list)) else (out,)
    shapes = tuple(one.shape for one in outs)
    node = TaylorNode(
        op,
        args,
        kwargs,
        tuple(range(3, 3 + len(outs))),
        1,
        len(outs) > 1,
        shapes=shapes,
        rule=TAYLOR_RULES.get(op, ANY),
    )
    found = transfer(node, values.of(node), values, N)
    if found is not None:
        assert (INDEX.index - SIZE in values.guards) == (INDEX in args)
    return found


def sets(support: Tensor | None) -> list[set[int]]:
    """The coordinates of each entry of the first point, in order."""
    assert support is not None
    return [set(column.tolist()) - {0} for column in support[:, 0].flatten(1).unbind(1)]


@pytest.mark.parametrize(
    ("op", "args", "expected"),
    [
        (aten.tanh.default, (V,), [{k} for k in range(1, 13)]),
        (aten.transpose.int, (V, 1, 2), [{1 + 3 * k + i} for i in range(3) for k in range(4)]),
        (aten.select.int, (V, 1, 2), [{7}, {8}, {9}]),
        (aten.index_select.default, (V, 2, INDEX), [{1 + 3 * k + i} for k in range(4) for i in (2, 0)]),
        (aten.constant_pad_nd.default, (V, [1, -2], 7.0), [s for k in range(4) for s in (set(), {1 + 3 * k})]),
        (aten.sum.dim_IntList, (V, [2], False), [set(range(1 + 3 * k, 4 + 3 * k)) for k in range(4)]),
        # The same all along the axis, which has length 1 then.
        (aten._softmax.default, (V, 2, False), [set(range(1 + 3 * k, 4 + 3 * k)) for k in range(4)]),
        (aten.linalg_vector_norm.default, (V, 2, [1], True), [{1 + i, 4 + i, 7 + i, 10 + i} for i in range(3)]),
    ],
    ids=str,
)  # fmt: skip
def test_the_support_behind_an_operation(op: Any, args: tuple[Any, ...], expected: list[set[int]]) -> None:
    found = result(op, *args)
    assert found is not None
    assert found.instead is None
    assert sets(found.supports[0]) == expected


def test_what_acts_on_each_entry_takes_the_union() -> None:
    found = result(aten.mul.Tensor, V, W, second=SUPPORT.flip(-2))
    assert found is not None
    assert sets(found.supports[0]) == [{1 + 3 * k + i, 10 - 3 * k + i} for k in range(4) for i in range(3)]
    assert {len(wanted) for wanted in found.wanted.values()} == {2}


def test_what_is_joined_has_as_many_directions_as_the_one_with_the_most() -> None:
    found = result(aten.cat.default, [V, W], 1, second=torch.cat((SUPPORT, SUPPORT.flip(-1))))
    assert found is not None
    assert {slot: len(wanted) for slot, wanted in found.wanted.items()} == {1: 2, 2: 2}
    assert sets(found.supports[0])[:3] == [{1}, {2}, {3}]
    assert sets(found.supports[0])[12:15] == [{1, 3}, {2}, {1, 3}]


def test_each_of_several_results_has_its_own() -> None:
    found = result(aten.unbind.int, V, 1)
    assert found is not None
    assert [sets(support) for support in found.supports] == [[{1 + 3 * k + i} for i in range(3)] for k in range(4)]


def test_a_sum_of_all_goes_into_the_n_directions_at_once() -> None:
    values = AbstractValues(X, (), SIZE, [])
    values.slots[1] = AbstractValue(torch.Size((2, 4, 3)), SUPPORT)
    node = TaylorNode(
        aten.mean.dim, (V, [1, 2], False), {}, (3,), 2, False, shapes=(torch.Size((2,)),),
        rule=TAYLOR_RULES[aten.mean.dim], wants_tangents=True,
    )  # fmt: skip
    found = transfer(node, values.of(node), values, N)
    assert found is not None
    assert found.supports == (None,)
    assert isinstance(found.instead, Summed)
    assert found.instead.is_mean


@pytest.mark.parametrize(
    ("op", "args"),
    [
        (aten.sum.default, (V,)),  # it names no axes
        (aten.amax.default, (V, [2], False)),  # it has no rule of its own
    ],
    ids=str,
)
def test_what_is_not_known_needs_all_directions(op: Any, args: tuple[Any, ...]) -> None:
    assert result(op, *args) is None
