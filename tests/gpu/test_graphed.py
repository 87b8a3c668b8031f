"""graphed(SPEC) on the accelerator: values, gradients, and what a graph cannot hold."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import Tensor

from jacstrat import PROBLEMS, UnsupportedError, parse_strategy
from jacstrat.graphs import has_graphs
from jacstrat.measure.accuracy import errors
from jacstrat.problems.base import Instance

pytestmark = pytest.mark.gpu

B = 12
SPECS = ("graphed(vmap)", "graphed(identity)", "graphed(jvp:chunk_size=all)", "graphed(taylor)")
# Fields and scalars with parameters and without, with further arguments, of several outputs, with a sparse Jacobian.
NAMES = (
    "sin",
    "softmax",
    "tanh_field",
    "conditional_flow",
    "lorenz96",
    "cubic",
    "tanh_scalar",
    "tanh_outputs",
    "log_psi",
)


@pytest.fixture(autouse=True)
def graphs(device: str) -> str:
    if not has_graphs(torch.device(device)):
        pytest.skip(f"torch has no graphs for {device}")
    return device


def instance_of(name: str, device: str) -> Instance:
    problem = PROBLEMS[name]
    n = next(n for n in (6, *problem.sizes) if problem.refuse(n) is None)
    return problem.instance(n, B, torch.float64, device)


def network(device: str) -> torch.nn.Module:
    torch.manual_seed(0)
    layers = torch.nn.Linear(8, 32), torch.nn.Tanh(), torch.nn.Linear(32, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1)
    return torch.nn.Sequential(*layers, torch.nn.Flatten(0)).double().to(device)


def laplacian(spec: str, f, x: Tensor):
    return parse_strategy(spec).prepare("laplacian", f, x)


def gradients(y: Tensor, net: torch.nn.Module) -> tuple[Tensor | None, ...]:
    return torch.autograd.grad(y.square().sum(), tuple(net.parameters()), retain_graph=True, allow_unused=True)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spec", SPECS)
def test_a_replay_agrees_with_closed_forms(spec: str, name: str, device: str) -> None:
    strategy, instance = parse_strategy(spec), instance_of(name, device)
    for operator in map(instance.operator, instance.problem.operators):
        if strategy.refuse(operator) is not None:
            continue
        reference = instance.reference(operator)
        with torch.no_grad():
            evaluate = strategy.prepare(operator, instance.f, instance.x, args=instance.args)
            evaluate(instance.x.flip(0), *instance.args)  # another call before
            result = evaluate(instance.x, *instance.args)
        found = errors(result, reference.value(operator), reference.scale(operator))
        assert found.within, f"{operator}: {found}"


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name in ("tanh_field", "tanh_scalar", "tanh_outputs", "log_psi")]
)
@pytest.mark.parametrize("spec", SPECS)
def test_training_through_a_replay_agrees_with_a_loop(spec: str, name: str, device: str) -> None:
    strategy, instance = parse_strategy(spec), instance_of(name, device)
    parameters = tuple(instance.parameters.values())
    for operator in map(instance.operator, instance.problem.operators):
        if strategy.refuse(operator) is not None:
            continue
        evaluate, plain = (
            one.prepare(operator, instance.f, instance.x, args=instance.args)
            for one in (strategy, parse_strategy("identity"))
        )
        for scale in (1, 0.5):
            found, expected = (one(scale * instance.x, *instance.args) for one in (evaluate, plain))
            torch.testing.assert_close(found, expected)
            pairs = [torch.autograd.grad(y.square().sum(), parameters, allow_unused=True) for y in (found, expected)]
            for mine, its in zip(*pairs, strict=True):
                assert (mine is None) == (its is None)
                if mine is not None:
                    torch.testing.assert_close(mine, its)


@pytest.mark.parametrize("spec", ["graphed(taylor)", "graphed(vmap)"])
def test_results_are_the_callers_and_so_is_the_way_back(spec: str, device: str) -> None:
    net, x = network(device), torch.randn(B, 8, dtype=torch.float64, device=device)
    evaluate, plain = laplacian(spec, net, x), laplacian("identity", net, x)
    points = [x, 2 * x, -x]
    results = [evaluate(one) for one in points]
    expected = [plain(one) for one in points]
    torch.testing.assert_close(results, expected)
    for k in (1, 0, 2, 2, 0):
        torch.testing.assert_close(gradients(results[k], net), gradients(expected[k], net))
    torch.testing.assert_close(results, expected)


def test_a_capture_beside_a_loss_that_is_still_alive(device: str) -> None:
    """Nodes of leaves live as long as a graph that has them, and stand on the stream of who made them."""
    net, x = network(device), torch.randn(B, 8, dtype=torch.float64, device=device)
    alive = net(x).sum()
    evaluate, plain = laplacian("graphed(taylor)", net, x), laplacian("identity", net, x)
    kept = evaluate(x)
    few = x[:5]  # captured anew
    torch.testing.assert_close(gradients(evaluate(few), net), gradients(plain(few), net))
    torch.testing.assert_close(gradients(kept, net), gradients(plain(x), net))
    assert alive.requires_grad


def test_steps_of_an_optimiser_are_followed_and_a_moved_weight_too(device: str) -> None:
    net, x = network(device), torch.randn(B, 8, dtype=torch.float64, device=device)
    evaluate, plain = laplacian("graphed(taylor)", net, x), laplacian("identity", net, x)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(3):
        optimiser.zero_grad()
        loss = evaluate(x).square().mean()
        torch.testing.assert_close(loss, plain(x).square().mean())
        loss.backward()
        optimiser.step()
    net[0].weight.data = 2 * net[0].weight.data
    with pytest.warns(UserWarning, match="has moved"):
        torch.testing.assert_close(evaluate(x), plain(x))


def test_a_fraction_is_copied_in(device: str) -> None:
    x = torch.randn(B, 8, dtype=torch.float64, device=device)

    def f(x: Tensor, t: float) -> Tensor:
        return (x * t).sin().sum(-1)

    with torch.no_grad():
        evaluate, plain = (
            parse_strategy(spec).prepare("laplacian", f, x, args=(0.3,)) for spec in ("graphed(vmap)", "vmap")
        )
        for t in (0.3, 0.7, 1.9):
            torch.testing.assert_close(evaluate(x, t), plain(x, t))


def test_memory_goes_back_with_the_operator(device: str) -> None:
    net, x = network(device), torch.randn(4096, 8, dtype=torch.float64, device=device)
    module = torch.get_device_module(device)

    def reserved() -> int:
        gc.collect()
        module.empty_cache()
        return module.memory_reserved()

    laplacian("taylor", net, x)(x)
    before = reserved()
    evaluate = laplacian("graphed(taylor)", net, x)
    kept = evaluate.contraction.kept_bytes
    assert kept is not None
    assert kept() > 4096 * 8 * 8
    held = reserved()
    assert held > before
    del evaluate, kept
    assert reserved() < held


def test_a_compiled_program_is_captured(device: str) -> None:
    net, x = network(device), torch.randn(B, 8, dtype=torch.float64, device=device)
    try:
        evaluate = laplacian("graphed(compiled(taylor))", net, x)
    except UnsupportedError as error:
        pytest.skip(str(error)) if "torch cannot compile" in str(error) else pytest.fail(str(error))
    plain = laplacian("identity", net, x)
    for points in (x, 2 * x):
        torch.testing.assert_close(evaluate(points), plain(points))
        torch.testing.assert_close(gradients(evaluate(points), net), gradients(plain(points), net))


def test_what_waits_for_the_device_is_refused_and_the_next_is_served(device: str) -> None:
    net, x = network(device), torch.randn(B, 8, dtype=torch.float64, device=device)
    with torch.no_grad():
        with pytest.raises(UnsupportedError, match="^it cannot be captured in a graph: "):
            laplacian("graphed(vmap)", lambda x: net(x) * net[0].weight.sum().item(), x)
        torch.testing.assert_close(laplacian("graphed(vmap)", net, x)(x), laplacian("vmap", net, x)(x))
