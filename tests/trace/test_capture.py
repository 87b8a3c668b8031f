"""The graph of a strategy: what it gives, what it is a function of, and where its derivatives end."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat import STRATEGIES, UnsupportedError, parse_strategy
from jacstrat.core.operator import OPERATORS
from jacstrat.strategies import default_strategies
from jacstrat.trace.capture import capture

pytestmark = pytest.mark.long(but_one_in=3)

torch.manual_seed(0)
W = torch.nn.Parameter(torch.randn(5, 4, dtype=torch.float64))
V = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
X = torch.randn(3, 5, dtype=torch.float64)


def scalar(x: Tensor) -> Tensor:
    return ((x @ W).tanh() @ V).tanh().sum(-1)


def half_detached(x: Tensor) -> Tensor:
    z = (x @ W).tanh()
    return ((z + z.detach().sin()) @ V).tanh().sum(-1)


def eager_of(name: str, f):
    return parse_strategy(name).prepare("laplacian", f, X).contraction.evaluate


# Coloring refuses these functions, whose structure is dense.
SERVING = [
    name
    for name, kind in STRATEGIES.items()
    if name in default_strategies()
    and not kind().stochastic
    and not kind().refuse(OPERATORS["laplacian"])
    and name != "coloring"
]


@pytest.mark.parametrize(("f", "tracked"), [(scalar, True), (half_detached, False)])
@pytest.mark.parametrize("name", SERVING)
def test_the_graph_has_the_values_and_the_gradients_of_the_strategy(name: str, f, tracked: bool) -> None:
    x = X.clone().requires_grad_(tracked)
    evaluate = eager_of(name, f)
    found = capture(evaluate, x)
    assert {id(tensor) for tensor in found.tensors} == {id(W), id(V)}
    leaves = [W, V, *([x] if tracked else [])]
    results = [found.graph(x, *found.tensors), evaluate(x)]
    torch.testing.assert_close(*results)
    gradients = [torch.autograd.grad(y.square().sum(), leaves, allow_unused=True) for y in results]
    for mine, expected in zip(*gradients, strict=True):
        assert (mine is None) == (expected is None)
        if mine is not None:
            torch.testing.assert_close(mine, expected)


def test_a_graph_is_a_function_of_the_tensors_that_it_is_given() -> None:
    found = capture(eager_of("vmap", scalar), X)
    others = [2 * tensor.detach() for tensor in found.tensors]
    expected = eager_of("vmap", lambda x: ((x @ (2 * W)).tanh() @ (2 * V)).tanh().sum(-1))(X)
    torch.testing.assert_close(found.graph(X, *others), expected)


@pytest.mark.parametrize("grad", [True, False])
def test_nothing_that_chain_folds_is_kept(grad: bool) -> None:
    layers = torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, 5)
    net = torch.nn.Sequential(*layers).double()
    with torch.set_grad_enabled(grad):
        evaluate = parse_strategy("chain").prepare("divergence", net, X).contraction.evaluate
        evaluate(X)
        found = capture(evaluate, X)
        for parameter in net.parameters():
            parameter.data *= 1.5
        torch.testing.assert_close(found.graph(X, *found.tensors), evaluate(X))


def test_constants_made_within_are_kept() -> None:
    def f(x: Tensor) -> Tensor:
        return (x.sin() * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=x.dtype)).sum(-1)

    found = capture(eager_of("vmap", f), X)
    torch.testing.assert_close(found.graph(X, *found.tensors), eager_of("vmap", f)(X))


def test_random_numbers_are_refused() -> None:
    evaluate = eager_of("identity", lambda x: torch.nn.functional.dropout(x.sin(), 0.5).sum(-1))
    with pytest.raises(
        UnsupportedError, match=r"^the function draws random numbers, by aten\.\S+, at every call others$"
    ):
        capture(evaluate, X)


def test_a_tensor_kept_from_a_trace_is_refused() -> None:
    kept: list[Tensor] = []

    def f(x: Tensor) -> Tensor:
        kept.append(x.detach() * 2)
        return (x * kept[0]).sum(-1)

    capture(f, X)
    with pytest.raises(UnsupportedError, match="it made while it was traced"):
        capture(f, X)


@pytest.mark.parametrize("tracked", [True, False])
def test_weights_that_are_turned_around_are_stored_but_where_gradients_are_wanted(tracked: bool) -> None:
    U = torch.randn(4, 5, dtype=torch.float64, requires_grad=tracked)
    evaluate = eager_of("taylor", lambda x: torch.nn.functional.linear(x, U).tanh().sum(-1))
    found = capture(evaluate, X)
    stored = [node for node in found.graph.graph.nodes if node.target is torch.ops.aten.as_strided.default]
    assert len(stored) == (0 if tracked else 1)
    torch.testing.assert_close(found.graph(X, *found.tensors), evaluate(X))
