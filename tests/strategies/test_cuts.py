"""Where a graph ends, and what a function cuts off on purpose."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from jacstrat import UnsupportedError, divergence, laplacian
from jacstrat.strategies.cuts import ends, has_cuts, is_differentiable_once, nodes_of
from tests.strategies.custom_functions import Cube, CubeOnce

X = torch.ones(2, 3)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, g):
        return 2 * g


class Weighted(nn.Module):
    """A parameter that is used twice, one that is frozen, one that is not used, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)
        self.unused = nn.Parameter(torch.ones(3))
        self.register_buffer("shift", torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return (self.weight * x + self.frozen * self.shift).tanh() * self.weight


def test_the_leaves_are_the_parameters_each_once() -> None:
    net = Weighted()
    for x in (X, X.clone().requires_grad_()):
        found = ends(net, x)
        assert [id(leaf) for leaf in found.leaves] == [id(net.weight)]
        assert not found.goes_beyond
    with torch.no_grad():
        assert len(ends(net, X).leaves) == 1, "whatever is tracked outside"


def test_nothing_is_left_of_the_look() -> None:
    net, x = Weighted(), X.clone().requires_grad_()
    ends(net, x)
    assert net.weight.grad is None
    assert x.grad is None
    assert x.requires_grad


def test_a_graph_that_was_there_before_is_gone_on_in() -> None:
    p = torch.ones(3, requires_grad=True)
    w = p.exp()
    found = ends(lambda x: w * x, X)
    assert [id(leaf) for leaf in found.leaves] == [id(p)]
    assert found.goes_beyond
    assert not ends(lambda x: p.exp() * x, X).goes_beyond


def test_a_leaf_that_f_makes_of_x_is_none_of_its_own() -> None:
    def slope(x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        (g,) = torch.autograd.grad(x.sin().sum(), x, create_graph=True)
        return g

    assert ends(slope, X) == ((), False)


def test_a_constant_has_no_ends() -> None:
    assert ends(torch.zeros_like, X) == ((), False)
    assert list(nodes_of(torch.zeros(2))) == []


def without_gradients(x: Tensor) -> Tensor:
    with torch.no_grad():
        scale = x.abs().mean()
    return x / scale


CUT: dict[str, Callable[[Tensor], Tensor]] = {
    "detach": lambda x: x * x.detach(),
    "torch.detach": lambda x: x * torch.detach(x),
    "detach_": lambda x: x * (x * 1).detach_(),
    "data": lambda x: x * x.data,
    "no_grad": without_gradients,
    "custom function": lambda x: Doubled.apply(x.sin()),
    "item": lambda x: x * x.sum().item(),
    "float": lambda x: x * math.sin(x.sum()),
    "list": lambda x: x * x.tolist()[0][0],
}
WHOLE: dict[str, Callable[[Tensor], Tensor]] = {
    "module": Weighted(),
    "layers": nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.ReLU()),
    "constant": torch.zeros_like,
    "gradient inside": lambda x: torch.func.grad(lambda z: z.sin().sum())(x),
    "number of a constant": lambda x: x * torch.ones(()).item(),
    "whole number": lambda x: x ** int(x.sum().clamp(2, 2)),
    "branch": lambda x: x if x.sum() > 0 else -x,
}


@pytest.mark.parametrize("name", CUT)
def test_what_is_cut_off_is_seen(name: str) -> None:
    assert has_cuts(CUT[name], X)
    with torch.no_grad():
        assert has_cuts(CUT[name], X), "whatever is tracked outside"


@pytest.mark.parametrize("name", WHOLE)
def test_nothing_else_is_taken_for_a_cut(name: str) -> None:
    assert not has_cuts(WHOLE[name], X)
    with torch.no_grad():
        assert not has_cuts(WHOLE[name], X)


def test_nodes_are_given_each_once() -> None:
    x = X.clone().requires_grad_()
    y = x.sin()
    names = [type(node).__name__ for node in nodes_of(y * y + y)]
    assert sorted(names) == ["AccumulateGrad", "AddBackward0", "MulBackward0", "SinBackward0"]


def test_what_torch_refuses_to_differentiate_twice_is_no_zero() -> None:
    x = torch.randn(4, 3, dtype=torch.float64)
    assert is_differentiable_once(lambda x: CubeOnce.apply(x).sin(), x)
    assert not is_differentiable_once(lambda x: Cube.apply(x).sin(), x)
    assert not is_differentiable_once(torch.sin, x)
    for strategy in ("auto", "identity"):
        with pytest.raises(UnsupportedError, match="second derivatives, and an autograd.Function of f is marked as"):
            laplacian(lambda x: CubeOnce.apply(x).sum(-1), x, strategy)
        torch.testing.assert_close(divergence(lambda x: CubeOnce.apply(x), x, strategy), 3 * x.square().sum(-1))
        torch.testing.assert_close(laplacian(lambda x: Cube.apply(x).sum(-1), x, strategy), 6 * x.sum(-1))


def hooked(x: Tensor) -> Tensor:
    y = (1.3 * x).sin()
    if y.requires_grad:
        y.register_hook(lambda g: 2 * g)
    return y.sum(-1)


def test_a_hook_that_f_registers_is_a_cut_and_autograd_is_what_is_meant() -> None:
    x = torch.randn(4, 3, dtype=torch.float64)
    assert has_cuts(hooked, x)
    wanted = laplacian(lambda x: 4 * (1.3 * x).sin().sum(-1), x, "identity")
    found = laplacian(hooked, x, "auto")
    torch.testing.assert_close(found, laplacian(hooked, x, "identity"))
    assert not torch.allclose(found, wanted / 4), "twice, and again on the way back"
    with pytest.raises(UnsupportedError):
        laplacian(hooked, x, "taylor")


@pytest.mark.parametrize("hook", [lambda g: 2 * g, lambda g: g.clamp(-1e-3, 1e-3), lambda g: None])
def test_hooks_of_parameters_are_applied_and_contradict_no_strategy(hook) -> None:
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)).double(), torch.randn(4, 3, dtype=torch.float64)
    for p in net.parameters():
        p.register_hook(hook)

    def gradients(strategy: str) -> list[Tensor]:
        result = laplacian(lambda x: net(x).squeeze(-1), x, strategy).sum()
        return list(torch.autograd.grad(result, list(net.parameters())[:3]))

    for strategy in ("auto", "taylor", "vmap"):
        for found, wanted in zip(gradients(strategy), gradients("identity"), strict=True):
            torch.testing.assert_close(found, wanted)
