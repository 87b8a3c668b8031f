"""What graphs go through last: one pass by the key of all."""

from __future__ import annotations

import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from jacstrat import parse_strategy
from jacstrat.strategies.passes import LastPasses
from tests.taylor.functions import seeded

aten = torch.ops.aten


def test_the_same_implementation_has_the_same_key() -> None:
    """By which programs are found again that were compiled in another process."""
    assert LastPasses().uuid() == LastPasses().uuid()


def test_all_are_done() -> None:
    inputs = torch.ones(3), torch.ones(2, 4), torch.ones(4, 3), torch.ones(5, 2, 3)
    module = make_fx(lambda b, x, W, t: torch.addmm(b, x, W).cos() * t, tracing_mode="fake")(*inputs)
    LastPasses()(module.graph)
    names = [node.target._opname for node in module.graph.nodes if node.op == "call_function"]
    assert names == ["mm", "add", "cos", "as_strided", "mul"]


def test_a_program_agrees_with_its_eager_form_in_values_and_gradients() -> None:
    V = seeded(lambda: nn.Sequential(nn.Linear(3, 7), nn.Tanh(), nn.Linear(7, 6), nn.GELU(), nn.Linear(6, 1)))
    x = torch.randn(8, 3, dtype=torch.float64)
    results = []
    for spec in ("taylor", "compiled(taylor)"):
        result = parse_strategy(spec).prepare("laplacian", lambda x: V(x).squeeze(-1), x)(x)
        results.append((result, *torch.autograd.grad(result.square().sum(), list(V.parameters())[:-1])))
    torch.testing.assert_close(*results)
