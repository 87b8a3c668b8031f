"""What is computed once and stored, in graphs as a compiler lowers them, and in programs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.fx import Graph, Node
from torch.fx.experimental.proxy_tensor import make_fx

from jacstrat import parse_strategy
from jacstrat.strategies.stored import _store, store_before_broadcast
from tests.taylor.functions import seeded

aten = torch.ops.aten
Z = torch.linspace(-1, 1, 6).view(2, 3)
T = torch.linspace(0, 1, 24).view(4, 2, 3)


def stored(f: Callable[..., Tensor], *inputs: Tensor) -> list[str]:
    """The operations whose results are stored, once the graph was seen to do what it did."""
    module = make_fx(f, tracing_mode="fake")(*inputs)
    store_before_broadcast(module.graph)
    module.recompile()
    torch.testing.assert_close(module(*inputs), f(*inputs))
    return [node.args[0].target._opname for node in module.graph.nodes if node.target is aten.as_strided.default]


def test_a_factor_of_tangents_is_stored_once() -> None:
    # 0.5 erfc(-z) + z exp(-z^2), as s' of GELU: what is read is the sum, and not what it is made of.
    def slope(z: Tensor, t: Tensor) -> Tensor:
        factor = 0.5 * torch.erfc(-z) + z * torch.exp(-z * z)
        return t * factor + (t * factor.unsqueeze(0)).sum(0)

    assert stored(slope, Z, T) == ["add"]


def test_it_is_the_dense_tensor_that_a_view_is_of() -> None:
    assert stored(lambda z, t: t * z.mT.cos().mT.expand(4, -1, -1), Z, T) == ["cos"]


@pytest.mark.parametrize(
    "f",
    [
        lambda z, t: t * (1 - z * z),  # takes no longer than to read it
        lambda z, t: t * z.sum(-1, keepdim=True),  # a reduction is stored anyway
        lambda z, t: t.cos() * t + z,  # as many entries
        lambda z, t: t[0].sin() * z.cos(),
    ],
)
def test_what_would_gain_nothing_is_left(f: Callable[..., Tensor]) -> None:
    assert stored(f, Z, T) == []


@pytest.mark.long
@pytest.mark.parametrize("is_trained", [False, True])
def test_a_program_computes_the_slope_of_an_activation_once_a_point(
    is_trained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._inductor import config

    V = seeded(lambda: nn.Sequential(nn.Linear(5, 7), nn.GELU(), nn.Linear(7, 6), nn.GELU(), nn.Linear(6, 1)))
    shapes = []

    def store(graph: Graph, node: Node) -> None:
        shapes.append(tuple(node.meta["val"].shape))
        _store(graph, node)

    monkeypatch.setattr("jacstrat.strategies.stored._store", store)
    x = torch.randn(8, 5, dtype=torch.float64)
    # A program that is found again is not lowered.
    with torch.set_grad_enabled(is_trained), config.patch(force_disable_caches=True):
        parse_strategy("compiled(taylor:compress=false)").prepare("laplacian", lambda x: V(x).squeeze(-1), x)
    assert (8, 7) in shapes
