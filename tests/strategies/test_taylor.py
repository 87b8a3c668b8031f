"""Strategy taylor: what it refuses, its parameters, its cost, and points other than those it was prepared for."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from jacstrat import PROBLEMS, UnsupportedError, UsageError, parse_strategy, value_gradient_laplacian
from jacstrat.harness.cell.judging import judge
from jacstrat.measure.counters import OperationCounter
from jacstrat.measure.memory import peak_bytes
from jacstrat.strategies import Prepared
from jacstrat.taylor import Scalar
from jacstrat.taylor import scalar as taylor_scalar

pytestmark = pytest.mark.long(but_one_in=3)


def network(*widths: int) -> nn.Sequential:
    """A tanh network of these widths with one output, in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.Tanh())]
        return nn.Sequential(*layers, nn.Linear(widths[-1], 1)).double()


def scalar_of(net: nn.Module):
    return lambda x: net(x).squeeze(-1)


def points(B: int, n: int) -> Tensor:
    return torch.randn(B, n, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def flops(work) -> int:
    with OperationCounter() as counter:
        work()
    return counter.flops


@pytest.mark.parametrize("operator", ["divergence", "jacobian_diagonal"])
def test_a_field_is_refused(operator: str) -> None:
    with pytest.raises(UnsupportedError, match="a field has no second derivatives to collapse; use jvp"):
        parse_strategy("taylor").prepare(operator, torch.sin, points(2, 3))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("taylor:tile=0", "tile must be a positive integer or all, got 0; leave it out for the default"),
        ("taylor:probes=0", "probes must be a positive integer or all, got 0; leave it out for the default"),
        ("taylor:checkpoint=2", "checkpoint must be true, false or auto, got 2; leave it out for auto"),
        ("taylor:compress=2", "compress must be true or false, got 2; leave it out for true"),
    ],
)
def test_parameters_out_of_range(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_strategy(spec)


def test_specs() -> None:
    assert parse_strategy("taylor").spec == "taylor"
    assert parse_strategy("taylor:tile=all,compress=false").spec == "taylor:tile=all,compress=false"


@pytest.mark.parametrize(("n", "widths"), [(3, (8, 8)), (24, (8, 6, 6)), (10, (16, 16, 12))])
def test_cost_is_the_best_known(n: int, widths: tuple[int, ...]) -> None:
    # B (2 P + min(n, h_1) mid) products of two numbers, each an addition as well.
    B, net = 16, network(n, *widths)
    evaluate = parse_strategy("taylor:tile=all").prepare("laplacian", scalar_of(net), points(B, n))
    P = sum(a * b for a, b in pairwise((n, *widths, 1)))
    mid = sum(a * b for a, b in pairwise(widths))
    with torch.no_grad():
        counted = flops(lambda: evaluate(points(B, n)))
    assert counted <= 2 * B * (2 * P + min(n, widths[0]) * mid)


def test_directions_are_compressed_once_for_all_tiles() -> None:
    n, widths, B = 30, (6, 6), 12
    f, x = scalar_of(network(n, *widths)), points(B, n)
    results, calls = [], []
    for spec in ("taylor:tile=all", "taylor:tile=5", "taylor:compress=false"):
        with torch.no_grad():
            evaluate = parse_strategy(spec).prepare("laplacian", f, x)
        with torch.no_grad(), torch.profiler.profile() as profile:
            results.append(evaluate(x))
        calls.append(sum(event.count for event in profile.key_averages() if event.key == "aten::linalg_qr"))
    assert calls == [1, 1, 0]
    torch.testing.assert_close(results[1], results[0])
    torch.testing.assert_close(results[2], results[0])


def test_tangents_of_a_shared_layer_are_not_repeated_for_each_point() -> None:
    # A quadratic form: its tangents are those of a linear map, the same at every point.
    n, B = 8, 64
    A = points(n, n)
    evaluate = parse_strategy("taylor:tile=all").prepare("laplacian", lambda x: (x @ A * x).sum(-1), points(B, n))
    x = points(B, n)
    torch.testing.assert_close(evaluate(x), (2 * A.trace()).expand(B))
    assert peak_bytes(lambda: evaluate(x), "cpu") < n * n * B * 8 / 2


def test_memory_follows_the_tile() -> None:
    n, widths, B = 16, (32, 32), 64
    f, x = scalar_of(network(n, *widths)), points(B, n)
    peaks = {}
    with torch.no_grad():
        for tile in ("all", 4):
            evaluate = parse_strategy(f"taylor:tile={tile}").prepare("laplacian", f, x)
            evaluate(x)
            peaks[tile] = peak_bytes(lambda evaluate=evaluate: evaluate(x), "cpu")
        evaluate = parse_strategy("taylor:tile=all").prepare("laplacian", f, x[:4])
        one = peak_bytes(lambda: evaluate(x[:4]), "cpu")
    assert peaks[4] < 1.3 * one + 2 * B * 8
    assert peaks[4] < peaks["all"] / 8


def test_any_number_of_points_once_prepared() -> None:
    f = scalar_of(network(3, 5))
    evaluate = parse_strategy("taylor").prepare("laplacian", f, points(4, 3))
    expected = parse_strategy("vmap").prepare("laplacian", f, points(4, 3))
    for B in (1, 2, 7):
        torch.testing.assert_close(evaluate(points(B, 3)), expected(points(B, 3)))
    torch.testing.assert_close(evaluate(points(1, 3)[0]), expected(points(1, 3)[0]))
    assert evaluate(points(0, 3)).shape == (0,)


def test_a_function_that_cannot_be_traced_says_so() -> None:
    prepared = parse_strategy("taylor").prepare(
        "laplacian", lambda x: x.square().sum(-1) * (1 if x.sum() > 0 else -1), points(4, 3)
    )
    assert prepared.reason.startswith("n VJPs of the gradient, as f cannot be traced: DataDependentOutputException")
    assert parse_strategy("taylor").prepare("laplacian", scalar_of(network(3, 5)), points(4, 3)).reason == ""


def test_what_the_caller_has_is_not_written_to() -> None:
    A = points(3, 3)
    x, a = points(4, 3), A.clone()
    y = x.clone()
    evaluate = parse_strategy("taylor").prepare("laplacian", lambda x: (((x @ A).tanh() @ A).sin() * x).sum(-1), x)
    with torch.no_grad():
        first, second = evaluate(x), evaluate(x)
    assert torch.equal(first, second)
    assert torch.equal(x, y)
    assert torch.equal(A, a)


class TestProbes:
    """The mean over random directions, in one pass."""

    @pytest.mark.parametrize("B", [None, 1, 5])
    @pytest.mark.parametrize("tile", ["auto", 2])
    def test_it_is_that_of_hutchinson_with_the_same_draws(self, B: int | None, tile: str | int) -> None:
        f, x = scalar_of(network(10, 12, 12)), points(B or 1, 10)
        x = x if B else x[0]

        def prepared(spec: str) -> Prepared:
            return parse_strategy(spec).prepare("laplacian", f, x, torch.Generator().manual_seed(3))

        expected = prepared("hutchinson:probes=4").estimate(x)
        spec = f"taylor:probes=4,tile={tile}"
        torch.testing.assert_close(prepared(spec)(x), expected.value)
        torch.testing.assert_close(tuple(prepared(spec).estimate(x)), tuple(expected))
        with torch.no_grad():
            torch.testing.assert_close(prepared(spec)(x), expected.value)

    def test_where_f_cannot_be_traced(self) -> None:
        def f(x: Tensor) -> Tensor:
            return (x @ points(5, 5)).tanh().prod(-1) * (1 if x.sum() > 0 else 2)

        x = points(3, 5)
        prepared = {
            name: parse_strategy(f"{name}:probes=2").prepare("laplacian", f, x, torch.Generator().manual_seed(3))
            for name in ("taylor", "hutchinson")
        }
        assert prepared["taylor"].reason.startswith("2 VJPs of the gradient, as f cannot be traced")
        torch.testing.assert_close(tuple(prepared["taylor"].estimate(x)), tuple(prepared["hutchinson"].estimate(x)))

    def test_n_of_them_are_the_unit_vectors(self) -> None:
        f, x = scalar_of(network(4, 6)), points(3, 4)
        found = parse_strategy("taylor:probes=4").prepare("laplacian", f, x).estimate(x)
        torch.testing.assert_close(found.value, parse_strategy("vmap").prepare("laplacian", f, x)(x))
        assert found.std_error is None

    def test_a_value_is_stochastic_where_it_draws(self) -> None:
        assert not parse_strategy("taylor").stochastic
        assert parse_strategy("taylor").claimed_rate is None
        one, same = parse_strategy("taylor:probes=8"), parse_strategy("hutchinson:probes=8")
        assert one.stochastic
        assert one.claimed_rate == same.claimed_rate

    @pytest.mark.long
    def test_a_run_judges_its_draws(self) -> None:
        instance = PROBLEMS["tanh_scalar"].instance(8, 4, torch.float64)
        reference = instance.reference("laplacian")
        strategy = parse_strategy("taylor:probes=4")
        found = judge(strategy, "laplacian", instance.f, instance.x, reference, 1e-12, "key", clock=lambda: 0.0)
        assert found.fault == ""
        assert found.coverage > strategy.claimed_rate
        assert found.draws == 256

    def test_gradients_are_those_of_hutchinson(self) -> None:
        net, x = network(10, 12), points(3, 10)

        def slopes(name: str) -> tuple[Tensor, ...]:
            strategy = parse_strategy(f"{name}:probes=3")
            prepared = strategy.prepare("laplacian", scalar_of(net), x, torch.Generator().manual_seed(3))
            return torch.autograd.grad(prepared(x).square().sum(), [net[0].weight, net[2].weight])

        torch.testing.assert_close(slopes("taylor"), slopes("hutchinson"))

    def test_cost_is_a_pass_for_each_direction(self) -> None:
        # K tangents, their one sum of second derivatives and the value: K + 2 passes, whatever n is.
        B, K, widths = 4, 3, (40, 16, 16)
        net, x = network(*widths), points(B, widths[0])
        evaluate = parse_strategy(f"taylor:probes={K},tile=all").prepare("laplacian", scalar_of(net), x)
        P = sum(a * b for a, b in pairwise((*widths, 1)))
        with torch.no_grad():
            assert flops(lambda: evaluate(x)) <= 2 * B * (K + 2) * P


class TestCheckpoint:
    """Tiles that are computed again on the way back."""

    @staticmethod
    def step(spec: str, n: int = 16, B: int = 64, widths: tuple[int, ...] = (32, 32, 32)):
        """One call with its way back, which gives the gradients."""
        net, x = network(n, *widths), points(B, n)
        evaluate = parse_strategy(spec).prepare("laplacian", scalar_of(net), x)
        # Not the last bias, whose gradient is 0.
        return lambda: torch.autograd.grad(evaluate(x).square().mean(), list(net.parameters())[:-1])

    @pytest.mark.parametrize("n", [8, 40])
    @pytest.mark.parametrize("extra", ["", ",compress=false", ",probes=2"])
    def test_gradients_are_the_same(self, n: int, extra: str) -> None:
        def gradients(spec: str) -> tuple[Tensor, ...]:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(5)
                return self.step(f"{spec}{extra}", n, 11, (12, 12))()

        expected = gradients("taylor:tile=all")
        for spec in ("taylor:tile=4,checkpoint=true", "taylor:tile=4,checkpoint=false", "taylor:checkpoint=true"):
            torch.testing.assert_close(gradients(spec), expected)

    def test_memory_is_that_of_one_tile(self) -> None:
        def peak(spec: str, B: int) -> int:
            step = self.step(spec, B=B)
            step()
            return peak_bytes(step, "cpu")

        one, kept, bounded = (
            peak("taylor:tile=all", 8),
            peak("taylor:tile=8,checkpoint=false", 64),
            peak("taylor:tile=8", 64),
        )
        # Gradients add up while there is a new one of each.
        parameters = sum(p.numel() for p in network(16, 32, 32, 32).parameters()) * 8
        assert bounded < 1.3 * one + parameters
        assert kept > 4 * one

    def test_only_what_is_tracked_is_computed_twice(self) -> None:
        net, x = network(16, 32, 32), points(64, 16)
        evaluate = parse_strategy("taylor:tile=8").prepare("laplacian", scalar_of(net), x)
        plain = parse_strategy("taylor:tile=8,checkpoint=false").prepare("laplacian", scalar_of(net), x)
        with torch.no_grad():
            assert flops(lambda: evaluate(x)) == flops(lambda: plain(x))

        def train(evaluate: Prepared) -> int:
            return flops(lambda: evaluate(x).sum().backward())

        assert 1.2 * train(plain) < train(evaluate) < 1.6 * train(plain)

    def test_auto_keeps_tiles_that_are_there_for_the_cache(self, monkeypatch) -> None:
        x = points(4096, 16)

        def is_checkpointed(tile) -> bool:
            scalar = Scalar(scalar_of(network(16, 32)), tile=tile)
            tiles = scalar.tiles(x)
            assert len(tiles) > 1
            return scalar._is_checkpointed(x, tiles)

        assert not is_checkpointed("auto")
        assert is_checkpointed(64)
        monkeypatch.setattr(taylor_scalar, "available_bytes", lambda: 2**20)
        assert is_checkpointed("auto")

    def test_a_second_derivative(self) -> None:
        net, x = network(6, 8, 8), points(9, 6)

        def curvature(spec: str) -> Tensor:
            evaluate = parse_strategy(spec).prepare("laplacian", scalar_of(net), x)
            (g,) = torch.autograd.grad(evaluate(x).sum(), net[0].weight, create_graph=True)
            return torch.autograd.grad(g.square().sum(), net[2].weight)[0]

        torch.testing.assert_close(
            curvature("taylor:tile=4,compress=false,checkpoint=true"), curvature("taylor:tile=all,compress=false")
        )

    def test_a_last_tile_of_another_size_is_traced_before_the_way_there(self) -> None:
        net, x = network(6, 8, 8), points(9, 6)
        evaluate = parse_strategy("taylor:tile=4,checkpoint=true").prepare("laplacian", scalar_of(net), x[:4])
        expected = parse_strategy("taylor:tile=all").prepare("laplacian", scalar_of(net), x)
        torch.testing.assert_close(
            *(torch.autograd.grad(f(x).square().sum(), net[2].weight) for f in (evaluate, expected))
        )

    def test_in_a_transform_everything_is_kept(self) -> None:
        f, x = scalar_of(network(5, 6)), points(8, 5)
        evaluate = parse_strategy("taylor:tile=2,checkpoint=true").prepare("laplacian", f, x)
        expected = parse_strategy("vmap").prepare("laplacian", f, x)
        torch.testing.assert_close(
            torch.func.grad(lambda x: evaluate(x).sum())(x), torch.func.grad(lambda x: expected(x).sum())(x)
        )


@pytest.mark.parametrize("spec", ["taylor:tile=16", "taylor:checkpoint=true"])
def test_what_is_found_together_is_differentiated_at_once(spec: str) -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)).double()
    x = torch.randn(40, 6, dtype=torch.float64)
    slopes = []
    for one in (spec, "identity"):
        found = value_gradient_laplacian(net, x, one)
        total = found.value.sum() + found.gradient.square().sum() + found.laplacian.square().sum()
        slopes.append(torch.autograd.grad(total, net[0].weight)[0])
    torch.testing.assert_close(*slopes)
