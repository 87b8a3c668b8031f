"""Graphs of torch.fx: what is in them, and which operation of one draws."""

from __future__ import annotations

import pytest
import torch
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from jacstrat.trace.fx import fx_graph, random_operation

aten = torch.ops.aten
W = torch.eye(3) + 1


def operations(graph) -> list:
    return [node.target for node in graph.graph.nodes if node.op == "call_function"]


def test_a_graph_computes_what_the_function_does_at_other_numbers() -> None:
    graph = fx_graph(lambda x, t: torch.sin(x @ W) * t, (torch.zeros(2, 3), torch.tensor(1.0)))
    x, t = torch.rand(2, 3), torch.tensor(0.5)
    torch.testing.assert_close(graph(x, t), torch.sin(x @ W) * t)
    assert operations(graph) == [aten.mm.default, aten.sin.default, aten.mul.Tensor]


def test_it_sees_what_runs_inside_a_transform() -> None:
    graph = fx_graph(torch.func.grad(lambda x: torch.sin(x).sum()), (torch.zeros(3),))
    assert aten.cos.default in operations(graph)


def test_operations_are_taken_apart_where_that_is_asked_for() -> None:
    graph = fx_graph(torch.tanh, (torch.zeros(3),), {aten.tanh.default: lambda v: 2 * torch.sigmoid(2 * v) - 1})
    assert aten.sigmoid.default in operations(graph)
    assert aten.tanh.default not in operations(graph)


def test_what_looks_at_numbers_raises() -> None:
    with pytest.raises(GuardOnDataDependentSymNode):
        fx_graph(lambda x: x if bool((x > 0).all()) else -x, (torch.ones(3),))


def test_the_first_that_draws_is_named() -> None:
    assert random_operation(fx_graph(torch.sin, (torch.zeros(3),))) is None
    drawn = fx_graph(lambda x: x + torch.rand_like(x) + torch.randn_like(x), (torch.zeros(3),))
    assert random_operation(drawn) is aten.rand_like.default
