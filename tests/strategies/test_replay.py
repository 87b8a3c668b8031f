"""A call as a replay: its result is the caller's, its way back that of its own call, its numbers those of today."""

from __future__ import annotations

import gc
import warnings
import weakref

import pytest
import torch
from torch import Tensor

from jacstrat import divergence, laplacian, parse_strategy
from jacstrat.strategies.replay import Closure
from tests.strategies.captures import Network, X, gradients, prepared
from tests.strategies.recorder import Recorder


@pytest.fixture
def net() -> Network:
    return Network()


def test_a_result_stays_the_callers(net: Network, recorder: Recorder) -> None:
    evaluate = prepared("graphed(taylor)", net)
    first = evaluate(X)
    before = first.detach().clone()
    g = gradients(first, net.W)[0]
    kept = g.clone()
    gradients(evaluate(3 * X), net.W)
    assert torch.equal(first, before)
    assert torch.equal(g, kept)


def test_the_way_back_is_that_of_its_own_call_in_any_order(net: Network, recorder: Recorder) -> None:
    evaluate = prepared("graphed(taylor)", net)
    points = [X, 2 * X, -X]
    results = [evaluate(x) for x in points]
    expected = [gradients(laplacian(net, x, "vmap"), net.W, net.V) for x in points]
    for k in (1, 0, 2, 2, 0):
        torch.testing.assert_close(gradients(results[k], net.W, net.V), expected[k])


def test_what_was_written_into_before_the_way_back_is_an_error_as_without_a_graph(
    net: Network, recorder: Recorder
) -> None:
    evaluate = prepared("graphed(taylor)", net)
    y = evaluate(X)
    with torch.no_grad():
        net.W.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        gradients(y, net.W)


def test_gradients_reach_points_arguments_and_what_has_a_history(net: Network, recorder: Recorder) -> None:
    theta = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    W = net.W * theta

    def f(x: Tensor, t: float, z: Tensor) -> Tensor:
        return ((x @ W) * t + z).tanh().sum(-1)

    x, z = X.clone().requires_grad_(), torch.randn(12, 5, dtype=torch.float64).requires_grad_()
    evaluate = parse_strategy("graphed(vmap)").prepare("laplacian", f, x, args=(0.3, z))
    count = len(recorder.graphs)
    for t in (0.3, 0.9):
        found, expected = evaluate(x, t, z), laplacian(f, x, "vmap", args=(t, z))
        torch.testing.assert_close(found, expected)
        leaves = (x, z, theta, net.W)
        torch.testing.assert_close(gradients(found, *leaves), gradients(expected, *leaves))
    assert len(recorder.graphs) == count


def test_a_function_of_autograd_that_takes_its_parameters_itself_is_trained(recorder: Recorder) -> None:
    W = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)

    class Product(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x: Tensor, W: Tensor) -> Tensor:
            return x @ W

        @staticmethod
        def setup_context(ctx, inputs, output) -> None:
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, g: Tensor):
            x, W = ctx.saved_tensors
            return g @ W.mT, x.mT @ g

    def f(x: Tensor) -> Tensor:
        return (Product.apply(x, W).tanh() @ W).tanh()

    evaluate = parse_strategy("graphed(identity)").prepare("divergence", f, X)
    found, expected = evaluate(X), divergence(f, X, "identity")
    torch.testing.assert_close(gradients(found, W), gradients(expected, W))


def test_parameters_are_followed_in_place_and_a_moved_one_is_captured_again(net: Network, recorder: Recorder) -> None:
    with torch.no_grad():
        evaluate = prepared("graphed(taylor)", net)
        net.W.mul_(1.5)
        net.scale.fill_(0.5)
        torch.testing.assert_close(evaluate(X), laplacian(net, X, "vmap"))
        assert len(recorder.graphs) == 1
        for count in (2, 3):
            net.W.data = 2 * net.W.data
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                torch.testing.assert_close(evaluate(X), laplacian(net, X, "vmap"))
            assert len(recorder.graphs) == count
            texts = [str(one.message) for one in seen]
            assert all(text.startswith("graphed(taylor): a tensor that f reads has moved") for text in texts)
            assert len(texts) == (count == 2)  # said once


def test_what_no_longer_requires_grad_is_captured_again(net: Network, recorder: Recorder) -> None:
    evaluate = prepared("graphed(taylor)", net)
    net.W.requires_grad_(False)
    with pytest.warns(UserWarning, match="captured again"):
        evaluate(X).sum().backward()
    assert net.W.grad is None
    assert net.V.grad is not None


def test_memory_is_counted_and_freed_with_the_operator(net: Network, recorder: Recorder) -> None:
    evaluate = prepared("graphed(taylor)", net)
    kept = evaluate.contraction.kept_bytes
    # Two graphs, the points and the cotangent.
    assert kept is not None
    assert kept() == 2 * Recorder.BYTES + X.numel() * 8 + len(X) * 8
    gc.collect()
    gc.disable()
    try:
        graphs = [weakref.ref(graph) for graph in recorder.graphs]
        y = evaluate(X)
        recorder.graphs.clear()
        del evaluate, kept
        # A result with a graph of autograd keeps the way back.
        assert all(graph() is not None for graph in graphs)
        del y
        assert [graph() for graph in graphs] == [None, None]
    finally:
        gc.enable()


def test_a_closure_is_stale_where_its_memory_or_a_number_of_another_device_changed() -> None:
    t = torch.zeros(2)
    here, elsewhere = (Closure.of((t,), torch.device(device)) for device in ("cpu", "meta"))
    t.add_(1)
    assert not here.is_stale(tracked=True)
    assert elsewhere.is_stale(tracked=True)
    t.requires_grad_()
    assert here.is_stale(tracked=True)
    assert not here.is_stale(tracked=False)
    t.data = torch.ones(2)
    assert here.is_stale(tracked=False)
