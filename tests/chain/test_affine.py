"""What is linear, and the coefficient of what acts on each entry alone, against autograd's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from jacstrat.chain.affine import coefficient, is_bilinear, is_copy, is_linear
from jacstrat.trace import Slot
from jacstrat.trace.tape import Node

aten = torch.ops.aten
X, A, S = torch.tensor([0.5, -2.0]), torch.tensor([3.0, 4.0]), torch.tensor(2.0)
V, C = Slot(0), Slot(1)


def node(op: Any, *args: Any, **kwargs: Any) -> Node:
    return Node(op, args, kwargs, (2,), 2, False)


NODES = {
    "neg": node(aten.neg.default, V),
    "clone": node(aten.clone.default, V),
    "plus a number": node(aten.add.Scalar, V, 3.0),
    "plus a constant": node(aten.add.Tensor, V, C, alpha=3),
    "from a constant": node(aten.sub.Tensor, C, V, alpha=3),
    "twice": node(aten.add.Tensor, V, V, alpha=0.5),
    "from itself": node(aten.sub.Tensor, V, V, alpha=0.5),
    "number minus it": node(aten.rsub.Scalar, V, 1.0, 4.0),
    "times a constant": node(aten.mul.Tensor, V, C),
    "constant times it": node(aten.mul.Tensor, C, V),
    "times a number": node(aten.mul.Tensor, V, S),
    "over a constant": node(aten.div.Tensor, V, C),
}


@pytest.mark.parametrize("name", NODES)
def test_a_coefficient_is_the_derivative(name: str) -> None:
    one = NODES[name]
    found = coefficient(one, 0, {0})
    assert found is not None
    x = X.clone().requires_grad_()
    values = {V: x, C: A}
    y = one.op(*(values.get(arg, arg) if isinstance(arg, Slot) else arg for arg in one.args), **one.kwargs)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(torch.as_tensor(found([X, A])).expand(2), slope, check_dtype=False)


@pytest.mark.parametrize(
    ("one", "varying"),
    [
        (node(aten.mul.Tensor, V, V), {0}),
        (node(aten.mul.Tensor, V, C), {0, 1}),
        (node(aten.div.Tensor, C, V), {0}),
        (node(aten.div.Tensor, V, C), {0, 1}),
        (node(aten.sin.default, V), {0}),
    ],
)
def test_there_is_none_where_it_depends_on_the_point(one: Node, varying: set[int]) -> None:
    assert coefficient(one, 0, varying) is None


def test_what_is_linear_is_a_copy_a_product_or_more() -> None:
    linear = {op for op in (aten.sum.dim_IntList, aten.cumsum.default, aten.roll.default) if is_linear(op)}
    assert len(linear) == 3
    assert [is_copy(op) for op in (aten.clone.default, aten.roll.default, aten.sin.default)] == [True, False, False]
    assert [is_bilinear(op) for op in (aten.mm.default, aten.addmm.default, aten.sum.default)] == [True, True, False]
    assert not any(is_linear(op) for op in (aten.clone.default, aten.mm.default, aten.sin.default, torch.sin))
