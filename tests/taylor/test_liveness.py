"""Which operations depend on x, which need tangents, and what is forgotten when."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jacstrat.taylor.fallback import ANY
from jacstrat.taylor.liveness import analysed
from jacstrat.taylor.node import TaylorNode
from jacstrat.taylor.table import TAYLOR_RULES
from jacstrat.trace import record

X = torch.ones(2, 3, dtype=torch.float64)
W = torch.ones(3, 3, dtype=torch.float64)


def nodes(f: Callable[..., Tensor], *args: Tensor, with_tangents: bool = False) -> dict[str, TaylorNode]:
    tape = record(f, X, args)
    ruled = [TaylorNode.of(node, TAYLOR_RULES.get(node.op, ANY)) for node in tape.nodes]
    live = analysed(ruled, tape.output, tape.arguments, with_tangents)
    return {str(node.op).split(".")[1]: node for node in live}


def test_tangents_are_wanted_in_front_of_what_is_curved() -> None:
    found = nodes(lambda x: (x @ W).tanh().sum(-1))
    assert {name: node.wants_tangents for name, node in found.items()} == {"mm": True, "tanh": False, "sum": False}
    assert nodes(lambda x: (x @ W).tanh().sum(-1), with_tangents=True)["sum"].wants_tangents


def test_what_is_linear_wants_none() -> None:
    assert not any(node.wants_tangents for node in nodes(lambda x: (x @ W).mul(2).sum(-1)).values())


def test_what_does_not_depend_on_x_does_not_vary() -> None:
    found = nodes(lambda x: x * W.exp()[0] + x.detach().cos())
    assert {name for name, node in found.items() if not node.varies} == {"exp", "select", "cos", "detach"}


def test_what_the_result_does_not_depend_on_is_left_out() -> None:
    def f(x: Tensor) -> Tensor:
        x.exp().log()
        return x.sin().sum(-1)

    assert set(nodes(f)) == {"sin", "sum"}


def test_slots_die_behind_their_last_use() -> None:
    tape_nodes = list(nodes(lambda x: (x.sin() * x.cos()).sum(-1)).values())
    dead = [slot for node in tape_nodes for slot in node.dead_after]
    assert len(dead) == len(set(dead))
    assert [node.is_last_use for node in tape_nodes] == [False, True, True, True]


@pytest.mark.parametrize(
    ("f", "is_fixed"),
    [
        (lambda x, s: (x @ W).tanh().sum(-1), True),
        (lambda x, s: x.relu().tanh().sum(-1), False),  # of which the slope depends on the point
        (lambda x, s: (x * s).tanh().sum(-1), False),  # of which it is another one at each point
    ],
)
def test_tangents_that_are_the_same_for_all_points(f: Callable[..., Tensor], is_fixed: bool) -> None:
    first, *_ = nodes(f, torch.ones(2, 1, dtype=torch.float64)).values()
    assert first.carrying
    assert first.is_fixed is is_fixed
