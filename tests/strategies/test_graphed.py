"""graphed(SPEC), by graphs of no device: operations that are recorded, and done again by a replay."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from jacstrat import UnsupportedError, UsageError, WrongResultError, laplacian, parse_strategy
from jacstrat.core.operator import OPERATORS, parse_operator
from jacstrat.strategies.graphed import MOST, Graphed
from jacstrat.strategies.taylor import Taylor
from tests.strategies.captures import Network, X, gradients, prepared
from tests.strategies.recorder import Recorder


@pytest.fixture
def net() -> Network:
    return Network()


@pytest.mark.parametrize(
    ("spec", "inner"),
    [
        ("graphed", "vmap"),
        ("graphed(taylor:tile=64)", "taylor:tile=64"),
        (" graphed ( compiled ( taylor ) ) ", "compiled(taylor)"),
    ],
)
def test_a_spec_has_that_of_the_inner_strategy_in_parentheses(spec: str, inner: str) -> None:
    strategy = parse_strategy(spec)
    assert strategy == Graphed(parse_strategy(inner))
    assert strategy.spec == f"graphed({inner})"
    assert parse_strategy(strategy.spec) == strategy
    assert strategy.counted == parse_strategy(inner).counted
    assert strategy.starts_compiler == ("compiled" in inner)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("graphed(graphed(vmap))", "graphed(vmap) is a graph already; leave out one graphed()"),
        ("graphed(vmpa)", "unknown strategy 'vmpa'; did you mean vmap"),
        ("graphed:inner=vmap", "unknown parameter of graphed 'inner'; known: none"),
    ],
)
def test_a_bad_spec_says_what_and_the_remedy(spec: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_strategy(spec)
    assert message in str(raised.value)


def test_what_is_no_strategy_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^inner must be a strategy, got 'vmap'; write graphed\(vmap\)$"):
        Graphed("vmap")


def test_a_strategy_that_draws_is_refused_and_another_as_it_refuses_itself() -> None:
    reason = r"^graphed\(hutchinson\) cannot serve the divergence: hutchinson draws random probes, and a replay would "
    with pytest.raises(UnsupportedError, match=reason):
        parse_strategy("graphed(hutchinson)").prepare("divergence", torch.sin, X)
    for operator in OPERATORS:
        assert Graphed(Taylor()).refuse(parse_operator(operator)) == Taylor().refuse(parse_operator(operator))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_device_without_graphs_is_the_reason(device: str) -> None:
    with pytest.raises(UnsupportedError, match=f"^device {device} has no graphs here; cuda and xpu have them$"):
        parse_strategy("graphed").prepare("divergence", torch.sin, X.to(device))


@pytest.mark.parametrize(
    "spec", ["vmap", "vmap:chunk_size=2", "identity", "jvp", "forward_over_forward", "hessian", "taylor", "auto"]
)
def test_any_strategy_may_be_a_graph(spec: str, net: Network, recorder: Recorder) -> None:
    with torch.no_grad():
        evaluate = prepared(f"graphed({spec})", net)
        assert isinstance(evaluate.strategy, Graphed)
        (graph,) = recorder.graphs
        before = graph.replays
        for x in (X, 2 * X, X.flip(0)):
            torch.testing.assert_close(evaluate(x), laplacian(net, x, "vmap"))
        assert graph.replays == before + 3


@pytest.mark.parametrize(
    "spec", ["vmap", "identity", "jvp", "taylor", "taylor:tile=5", "taylor:tile=5,checkpoint=true"]
)
def test_training_goes_through_two_graphs(spec: str, net: Network, recorder: Recorder) -> None:
    evaluate = prepared(f"graphed({spec})", net)
    assert len(recorder.graphs) == 2
    optimiser = torch.optim.Adam(net.parameters(), lr=0.1)
    for step in range(3):
        x = X * (1 + step)
        found, expected = evaluate(x), laplacian(net, x, "vmap")
        torch.testing.assert_close(found, expected)
        own = gradients(expected, net.W, net.V)
        optimiser.zero_grad()
        found.square().sum().backward()
        torch.testing.assert_close([net.W.grad, net.V.grad], list(own))
        optimiser.step()
    assert len(recorder.graphs) == 2


def test_several_outputs_and_higher_orders(net: Network, recorder: Recorder) -> None:
    for spec, f in (
        ("laplacian", net.field),
        ("bilaplacian", net),
        ("hessian_diagonal", net),
        ("laplacian:coordinates=0+2", net),
    ):
        with torch.no_grad():
            found, plain = (parse_strategy(one).prepare(spec, f, X) for one in ("graphed(vmap)", "vmap"))
            for x in (X, X + 1):
                torch.testing.assert_close(found(x), plain(x))


def test_each_shape_and_mode_has_a_graph_and_beyond_so_many_the_eager_form_serves(
    net: Network, recorder: Recorder
) -> None:
    with torch.no_grad():
        evaluate = prepared("graphed(vmap)", net)
        for rows in range(1, MOST):
            torch.testing.assert_close(evaluate(X[:rows]), laplacian(net, X[:rows], "vmap"))
        # Strides are copied away.
        torch.testing.assert_close(evaluate(X.mT.contiguous().mT), laplacian(net, X, "vmap"))
        assert len(recorder.graphs) == MOST
        words = rf"^graphed\(vmap\): there are {MOST} graphs already, and x of shape \({MOST}, 3\) is served without; "
        with pytest.warns(UserWarning, match=words) as seen:
            torch.testing.assert_close(evaluate(X[:MOST]), laplacian(net, X[:MOST], "vmap"))
        assert seen[0].filename == __file__
    assert len(recorder.graphs) == MOST


def test_another_tensor_in_its_place_is_prepared_anew(net: Network, recorder: Recorder) -> None:
    with torch.no_grad():
        evaluate = prepared("graphed(vmap)", net)
        net.V = torch.nn.Parameter(2 * net.V)
        with pytest.warns(UserWarning, match="has changed since this operator was prepared"):
            torch.testing.assert_close(evaluate(X), laplacian(net, X, "vmap"))


def test_where_nothing_can_be_captured_the_eager_form_serves(net: Network, recorder: Recorder) -> None:
    assert prepared("graphed(vmap)", net, X[:0])(X[:0]).shape == (0,)
    assert recorder.graphs == []
    with torch.no_grad():
        evaluate = prepared("graphed(vmap)", net)
        torch.testing.assert_close(torch.func.vmap(evaluate)(X), laplacian(net, X, "vmap"))
    torch.testing.assert_close(torch.func.jacrev(lambda x: evaluate(x).sum())(X).shape, X.shape)
    assert len(recorder.graphs) == 1


@pytest.mark.parametrize("spec", ["vmap", "taylor"])
def test_a_compiled_program_may_be_a_graph(spec: str, net: Network, recorder: Recorder, interpreted: list) -> None:
    evaluate = prepared(f"graphed(compiled({spec}))", net)
    assert (len(recorder.graphs), len(interpreted)) == (2, 1)
    found, expected = evaluate(2 * X), laplacian(net, 2 * X, "vmap")
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients(found, net.W, net.V), gradients(expected, net.W, net.V))
    assert len(interpreted) == 1


def test_an_f_that_asks_for_a_number_or_draws_cannot_be_captured(net: Network, recorder: Recorder) -> None:
    def asking(x: Tensor) -> Tensor:
        return net(x) * float(net.scale)

    def drawing(x: Tensor) -> Tensor:
        return torch.nn.functional.dropout(net(x))

    words = "it cannot be captured in a graph: CUDA error: operation not permitted when stream is capturing"
    with pytest.raises(UnsupportedError, match=f"^{re.escape(words)}$"):
        parse_strategy("graphed(identity)").prepare("laplacian", asking, X)
    with pytest.raises(UnsupportedError, match="^the function draws random numbers, by aten"):
        parse_strategy("graphed(identity)").prepare("laplacian", drawing, X)


def test_another_result_is_an_error(net: Network, recorder: Recorder) -> None:
    calls: list[int] = []

    def counting(x: Tensor) -> Tensor:
        calls.append(1)
        return net(x) * len(calls)

    with pytest.raises(WrongResultError) as raised:
        parse_strategy("graphed(identity)").prepare("laplacian", counting, X)
    words = str(raised.value)
    assert words.startswith("graphed(identity) gives another result than identity: it is off by ")
    assert words.endswith(" of the sum of |J_ii|; use identity")
