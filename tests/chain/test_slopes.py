"""Each slope that has a rule, against the derivative that torch takes of the operation."""

from __future__ import annotations

import pytest
import torch

from jacstrat.chain.slopes import NEEDS_RESULT, SLOPES, derived, slope_of
from jacstrat.trace import Slot
from jacstrat.trace.tape import Node

V = torch.tensor([0.0, 0.3, 1.0, 2.5, 21.0], dtype=torch.float64)
REST = {"softplus": (1.0, 20.0), "pow": (3.0,)}


def node(op, *args) -> Node:
    return Node(op, args, {}, (1,), V.numel(), False)


def agrees(one: Node, environment: list) -> None:
    expected = derived(one, 0, environment)
    result = one.op(*(environment[a.index] if isinstance(a, Slot) else a for a in one.args))
    for y in (None, result):
        torch.testing.assert_close(slope_of(one, 0)(environment, y).expand(expected.shape), expected)


@pytest.mark.parametrize("op", SLOPES, ids=str)
def test_a_rule_is_the_derivative(op) -> None:
    name = op._schema.name.removeprefix("aten::")
    v = V + 0.1 if name in ("log", "sqrt", "rsqrt", "reciprocal") else torch.cat((-V[1:], V[1:]))
    agrees(node(op, Slot(0), *REST.get(name, ())), [v])


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 0.5, -1])
def test_powers(exponent: float) -> None:
    agrees(node(torch.ops.aten.pow.Tensor_Scalar, Slot(0), exponent), [V + (0 if exponent in (0, 1, 2, 3) else 0.1)])


def test_gelu_of_the_other_kind() -> None:
    one = Node(torch.ops.aten.gelu.default, (Slot(0),), {"approximate": "tanh"}, (1,), V.numel(), False)
    torch.testing.assert_close(slope_of(one, 0)([V], None), derived(one, 0, [V]))


@pytest.mark.parametrize("op", [torch.ops.aten.mul.Tensor, torch.ops.aten.div.Tensor, torch.ops.aten.atan2.default])
def test_products_and_quotients(op) -> None:
    other = torch.linspace(1, 2, 5, dtype=torch.float64)
    for args in ((Slot(0), Slot(2)), (Slot(2), Slot(0)), (Slot(0), Slot(0)), (Slot(0), other.unsqueeze(1))):
        agrees(node(op, *args), [V + 1, None, other])


def test_what_is_said_to_need_its_result_has_a_rule() -> None:
    assert {*SLOPES, torch.ops.aten.div.Tensor} >= NEEDS_RESULT
