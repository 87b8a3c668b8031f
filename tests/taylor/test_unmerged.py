"""Merged axes apart: which operations are left, and that they do the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from jacstrat import laplacian
from jacstrat.taylor.blocks import Outer, Paired
from jacstrat.taylor.unmerged import unmerged
from jacstrat.trace import record
from tests.taylor.functions import seeded
from tests.taylor.test_sparse import program_of, run

B, TOKENS, WIDTH = 5, 3, 4
N = TOKENS * WIDTH
X = torch.rand(B, N, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
FIRST, SECOND = seeded(lambda: nn.Linear(WIDTH, 6)), seeded(lambda: nn.Linear(6, 2, bias=False))
aten = torch.ops.aten


def of_tokens(x: Tensor) -> Tensor:
    return SECOND(FIRST(x.unflatten(-1, (TOKENS, WIDTH))).tanh()).sin().sum((-2, -1))


def by_hand(x: Tensor) -> Tensor:
    """The same with the axis merged by the function itself."""
    return SECOND(FIRST(x.reshape(-1, WIDTH)).tanh() * 1.0).sin().view(len(x), -1).sum(-1)


def by_matmul(x: Tensor) -> Tensor:
    return (x.unflatten(-1, (TOKENS, WIDTH)) @ FIRST.weight.mT @ torch.ones(6, 2, dtype=x.dtype)).sin().sum((-2, -1))


def mixed(x: Tensor) -> Tensor:
    """On the merged axis something that is no layer, and the weights of another layer depend on x."""
    rows = x.reshape(-1, WIDTH)
    return (rows.cumsum(0) @ (rows[:WIDTH] - rows[:WIDTH].detach() + 1)).sin().sum() * torch.ones_like(x[:, 0])


def under_no_grad(x: Tensor) -> Tensor:
    with torch.no_grad():
        y = x.reshape(-1, WIDTH) @ FIRST.weight.mT
    return (y.view(len(x), -1).sum(-1) * x.square().sum(-1)).sin()


def left_as_it_came(x: Tensor) -> Tensor:
    return x.view(-1, WIDTH).sin().view(-1).view(x.shape).prod(-1)


def operations(f: Callable[[Tensor], Tensor]) -> list[object]:
    return [node.op for node in unmerged(record(f, X), X.shape).nodes]


def test_a_layer_of_each_token_is_one_operation() -> None:
    expected = [aten.view.default, aten.linear.default, aten.tanh.default, aten.linear.default, aten.sin.default]
    expected.append(aten.sum.dim_IntList)
    assert [op for op in operations(of_tokens) if op is not aten.t.default] == expected


def test_axes_that_the_function_merged_are_apart() -> None:
    found = operations(by_hand)
    assert found.count(aten.linear.default) == 2
    assert aten.mm.default not in found
    nodes = {node.op: node for node in unmerged(record(by_hand, X), X.shape).nodes}
    assert nodes[aten.sin.default].shapes == ((B, TOKENS, 2),)


@pytest.mark.parametrize("f", [of_tokens, by_hand, by_matmul, under_no_grad, left_as_it_came])
def test_values_and_gradients_are_the_same(f: Callable[[Tensor], Tensor]) -> None:
    for is_sparse in (True, False):
        torch.testing.assert_close(run(program_of(f, X, is_sparse), X), laplacian(f, X, "vmap"))
    if f is of_tokens:
        parameters = (*FIRST.parameters(), *SECOND.parameters())
        found, expected = (
            torch.autograd.grad(laplacian(f, X, strategy).square().sum(), parameters, allow_unused=True)
            for strategy in ("taylor", "vmap")
        )
        torch.testing.assert_close(found[0], expected[0])
        torch.testing.assert_close(found[2], expected[2])


def test_supports_do_not_grow_with_the_batch() -> None:
    """So that a plan takes no longer for more points, and serves as many as there are."""
    x = torch.rand(4096, N, dtype=torch.float64)

    def f(x: Tensor) -> Tensor:
        h = FIRST(x.unflatten(-1, (TOKENS, WIDTH)))
        return (torch.softmax(h @ h.mT, -1) @ h).tanh().sum((-2, -1))

    plans = [node.plan for node in program_of(f, x).nodes if node.plan is not None]
    tensors = [
        getattr(one, name, None) for plan in plans for one in plan.before.values() for name in ("index", "support")
    ]
    assert any(isinstance(one, Tensor) for one in tensors)
    assert all(one.numel() <= N * TOKENS**2 for one in tensors if isinstance(one, Tensor))
    assert [type(plan.instead) for plan in plans if plan.instead is not None] == [Outer]


def test_tangents_of_a_first_layer_are_those_of_one_point() -> None:
    nodes = program_of(of_tokens, X).nodes
    assert [node.shapes[0] for node in nodes if node.op is aten.linear.default] == [(B, TOKENS, 6), (B, TOKENS, 2)]
    assert Paired not in {type(node.plan.instead) for node in nodes if node.plan is not None}
