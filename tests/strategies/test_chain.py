"""Strategy chain: what it refuses, its cost by counts, its memory, and that it follows what the function holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from jacstrat import PROBLEMS, UnsupportedError, divergence, parse_strategy
from jacstrat.measure.counters import OperationCounter
from jacstrat.measure.memory import peak_bytes
from jacstrat.strategies.auto.counting import OpCounts, evaluation
from jacstrat.strategies.chain import fold_s
from tests.chain.functions import network


def points(B: int, n: int) -> Tensor:
    return torch.randn(B, n, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def prepared(f, x: Tensor, operator: str = "divergence"):
    return parse_strategy("chain").prepare(operator, f, x)


def products(work) -> int:
    """Products of two numbers in matrix products."""
    with torch.no_grad(), OperationCounter() as counter:
        work()
    return counter.flops // 2


def test_a_scalar_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="cannot serve the laplacian: a gradient goes through each layer twice"):
        prepared(lambda x: x.sum(-1), points(2, 3), "laplacian")


@pytest.mark.parametrize("n", [4, 40, 400])
def test_one_hidden_layer_takes_less_than_a_pass(n: int) -> None:
    # The first layer, and nothing of the second: its factor meets the vector diag(W1 W2), which is not counted.
    h, B = 16, 32
    x = points(B, n)
    evaluate = prepared(network(n, h, n), x)
    assert products(lambda: evaluate(x)) == B * n * h
    assert evaluate.reason == "1 pointwise factor, the constants between them folded"


@pytest.mark.parametrize("n", [4, 40, 400])
def test_two_hidden_layers_take_two_passes_at_most(n: int) -> None:
    # B (n h + h^2) to the second layer, B h^2 for the kernel to meet both factors. Its own h n h is spent once.
    h, B = 16, 32
    net, x = network(n, h, h, n), points(B, n)
    evaluate = prepared(net, x)
    assert products(lambda: evaluate(x)) == B * (n * h + 2 * h * h)
    assert products(lambda: evaluate(x)) <= 2 * products(lambda: net(x))
    with torch.no_grad():
        net[0].weight.mul_(2)
    assert products(lambda: evaluate(x)) == B * (n * h + 2 * h * h) + h * n * h


def test_more_layers_take_tangents_of_the_narrowest_width() -> None:
    # Cut at the second layer of 4 units: tangents there are the identity, and go through two products of 24 by 24.
    n, h, w, B = 48, 24, 4, 16
    net, x = network(n, h, w, h, h, n), points(B, n)
    evaluate = prepared(net, x)
    passes = B * (n * h + h * w + w * h + h * h)
    assert products(lambda: evaluate(x)) == passes + B * w * (h * h + h * h)
    assert evaluate.reason == "4 pointwise factors, 4 tangents for n = 48, through the narrowest cut"
    torch.testing.assert_close(evaluate(x), divergence(net, x, "vmap"))


def test_the_diagonal_of_one_hidden_layer_takes_a_pass() -> None:
    n, h, B = 40, 16, 32
    x = points(B, n)
    evaluate = prepared(network(n, h, n), x, "jacobian_diagonal")
    assert products(lambda: evaluate(x)) == 2 * B * n * h


def test_what_meets_few_coordinates_makes_no_matrix() -> None:
    n = 4096
    for name in ("lorenz96", "bratu", "burgers"):
        instance = PROBLEMS[name].instance(n, 2)
        evaluate = prepared(instance.f, instance.x)
        assert peak_bytes(lambda e=evaluate, x=instance.x: e(x), "cpu") <= 8 * 2 * n * 8
        expected = instance.reference("divergence").value("divergence")
        torch.testing.assert_close(evaluate(instance.x).numpy(), expected.astype("float64"))


def test_memory_follows_a_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jacstrat.chain.plan.tile_bytes", lambda threads: 2**21)
    n, h, B = 32, 32, 2048
    x = points(B, n)
    evaluate = prepared(network(n, h, h, h, n), x)
    with torch.no_grad():
        assert peak_bytes(lambda: evaluate(x), "cpu") < B * h * n * 8 / 4


@pytest.mark.parametrize("operator", ["divergence", "jacobian_diagonal"])
def test_it_follows_what_the_function_holds_however_it_is_written_to(operator: str) -> None:
    net, x = network(5, 7, 6, 5), points(3, 5)
    order = torch.arange(5)

    def f(x: Tensor) -> Tensor:
        return net(x)[..., order] * x

    evaluate = prepared(f, x, operator)

    def agrees() -> None:
        expected = parse_strategy("vmap").prepare(operator, f, x)(x)
        with torch.no_grad():
            torch.testing.assert_close(evaluate(x), expected)
        torch.testing.assert_close(evaluate(x), expected)

    agrees()
    with torch.no_grad():
        net[0].weight.mul_(2)
    agrees()
    net[2].weight.data.add_(1)
    agrees()
    net[4].weight.detach().numpy()[0, 0] = 9
    agrees()
    net[0].weight.data = torch.ones_like(net[0].weight)
    agrees()
    order.copy_(torch.tensor([4, 3, 2, 1, 0]))
    agrees()


def test_a_result_is_the_callers() -> None:
    x = points(3, 4)
    evaluate = prepared(lambda x: 2 * x, x)
    evaluate(x).add_(1)
    assert evaluate(x).tolist() == [8, 8, 8]


def test_any_number_of_points_once_prepared() -> None:
    net = network(3, 5, 4, 3)
    evaluate = prepared(net, points(4, 3))
    for B in (1, 2, 7):
        torch.testing.assert_close(evaluate(points(B, 3)), divergence(net, points(B, 3), "vmap"))
    torch.testing.assert_close(evaluate(points(1, 3)[0]), divergence(net, points(1, 3)[0], "vmap"))
    assert evaluate(points(0, 3)).shape == (0,)
    assert prepared(net, points(0, 3), "jacobian_diagonal")(points(0, 3)).shape == (0, 3)


def test_it_trains() -> None:
    net, x = network(4, 8, 8, 4), points(16, 4)
    evaluate = prepared(net, x)
    optimizer = torch.optim.SGD(net.parameters(), 0.05)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = (evaluate(x) + 1).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert all(p.grad is not None for p in net.parameters() if p.dim() == 2)


def test_attention_is_refused() -> None:
    attention = nn.MultiheadAttention(4, 2, batch_first=True).double().requires_grad_(False)

    def f(x: Tensor) -> Tensor:
        tokens = x.unflatten(-1, (3, 4))
        return attention(tokens, tokens, tokens, need_weights=False)[0].flatten(-2)

    with pytest.raises(UnsupportedError, match="cannot see through this function: .*, and it has no cut narrower"):
        prepared(f, points(2, 12))


def test_numbers_that_are_drawn_apart_from_x_are_no_constants() -> None:
    with pytest.raises(UnsupportedError, match="rand_like.* draws random numbers; use identity"):
        parse_strategy("chain").prepare("divergence", lambda x: x.tanh() * torch.rand_like(x), torch.rand(4, 3))


def test_maps_that_move_and_scale_the_entries_of_a_point_cost_nothing_to_fold() -> None:
    n, itemsize = 2048, 8
    ring = OpCounts(ops=10, bytes=10 * n * itemsize)
    assert fold_s(ring, n, itemsize) == 0
    # One operation that writes more than the point has, or a product of matrices.
    assert fold_s(ring + OpCounts(ops=1, bytes=2 * n * itemsize), n, itemsize) > 0
    assert fold_s(ring + OpCounts(flops=2 * n), n, itemsize) > 0


def test_weights_that_entries_share_take_longer_to_contract_than_those_of_one_layer() -> None:
    def graph(x: Tensor) -> Tensor:  # a network of each coordinate, mixed with those of others
        h = x.unsqueeze(-1) @ torch.ones(1, 16, dtype=x.dtype)
        return ((h.sum(-2, keepdim=True) + h) @ torch.ones(16, 16, dtype=x.dtype)).sum(-1)

    n, layer = 512, nn.Sequential(nn.Linear(512, 64), nn.Tanh(), nn.Linear(64, 512))
    seconds = [fold_s(evaluation(f, torch.ones(2, n)).work, n, 4) for f in (graph, layer)]
    assert seconds[0] > 5 > 0.1 > seconds[1]


@pytest.mark.parametrize("operator", ["divergence", "jacobian_diagonal"])
@pytest.mark.parametrize("batch", [1, 3])
def test_parts_that_share_weights_and_are_not_mixed_have_matrices_of_one_part(operator: str, batch: int) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 4), nn.SiLU(), nn.Linear(4, 2)).double()
    scale = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)

    def separable(x: Tensor) -> Tensor:
        y = x + 0.5 * net(x.unflatten(-1, (-1, 2))).flatten(-2)
        return y - scale * net(y.unflatten(-1, (-1, 2))).flatten(-2)

    def mixed(x: Tensor) -> Tensor:
        return separable(x).roll(1, -1)

    def scaled(x: Tensor) -> Tensor:
        return separable(x) * torch.linspace(1, 2, x.shape[-1], dtype=x.dtype)

    x = torch.randn(batch, 12, dtype=torch.float64)
    for f, blocks in ((separable, 6), (mixed, 1), (scaled, 1)):
        assert evaluation(f, x[:1]).work.blocks == blocks
        expected = parse_strategy("identity").prepare(operator, f, x)
        result = parse_strategy("chain").prepare(operator, f, x)
        torch.testing.assert_close(result(x), expected(x))
        weights = [*net.parameters(), scale]
        ours, theirs = (
            torch.autograd.grad(prepared(x).square().sum(), weights, allow_unused=True, materialize_grads=True)
            for prepared in (result, expected)
        )
        torch.testing.assert_close(ours, theirs)


def test_a_network_of_each_of_thousands_of_coordinates_is_set_up_in_no_time() -> None:
    net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)).double().requires_grad_(False)

    def separable(x: Tensor) -> Tensor:
        y = x + 0.5 * net(x.unsqueeze(-1)).squeeze(-1)
        return y - 2 * net(y.unsqueeze(-1)).squeeze(-1)

    n = 2**16  # of its matrices in full one would have 2^36 entries
    x = torch.randn(2, n, dtype=torch.float64)
    assert fold_s(evaluation(separable, x).work, n, 8) < 0.1
    torch.testing.assert_close(
        parse_strategy("chain").prepare("divergence", separable, x)(x),
        parse_strategy("ones").prepare("divergence", separable, x)(x),
    )


@pytest.mark.parametrize("operator", ["divergence", "jacobian_diagonal"])
@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.roll(1, -1).sin(),
        lambda x: x.roll(1, -1).sin().roll(1, -1) * 3,
        lambda x: x.roll(1, -1) * 2 + x.roll(2, -1).cos(),
        lambda x: x.roll(1, -1),
    ],
)
def test_coordinates_that_never_meet_themselves_have_a_trace_of_zero(f: Callable[..., Tensor], operator: str) -> None:
    x = torch.linspace(-1, 1, 10, dtype=torch.float64).view(2, 5)
    expected = torch.zeros(2, *(() if operator == "divergence" else (5,)), dtype=torch.float64)
    torch.testing.assert_close(parse_strategy("chain").prepare(operator, f, x)(x), expected)
