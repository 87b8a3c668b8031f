"""Direct calls in a loop: prepared once, right for every function, and bounded."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from jacstrat import (
    UnsupportedError,
    curl,
    derivatives_along,
    divergence,
    gradient,
    laplacian,
    parse_strategy,
    value_gradient_laplacian,
)
from jacstrat.strategies.base import Strategy
from jacstrat.strategies.entries import INTEGERS
from jacstrat.strategies.prepared import Prepared
from tests.strategies.makers import NET, D, Field, X, scalar, with_float, with_matrix_of_one_row, with_tensor

pytestmark = pytest.mark.long(but_one_in=2)


def test_what_f_does_beside_its_result_is_done() -> None:
    field = Field(NET, 1.0)
    for spec in ("identity", "vmap"):
        divergence(field, X, spec)
        before = field.calls
        for _ in range(INTEGERS):
            divergence(field, X, spec)
        assert field.calls > before


def test_another_network_is_another_function() -> None:
    for number in range(3):
        torch.manual_seed(number)
        net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 4)).to(D).requires_grad_(False)
        for spec in ("chain", "auto"):
            torch.testing.assert_close(divergence(lambda x, n=net: n(x), X, spec), divergence(net, X, "vmap"))


def test_a_network_that_changes_in_place_is_followed(recwarn: pytest.WarningsRecorder) -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 4)).to(D)
    for layer in (nn.Tanh(), nn.SiLU(), nn.Sigmoid()):
        net[1] = layer
        with torch.no_grad():
            net[0].weight.mul_(1.1)
        for spec in ("chain", "auto", "vmap"):
            torch.testing.assert_close(divergence(net, X, spec), divergence(lambda x: net(x), X, "identity"))
    assert not [w for w in recwarn if "prepared anew" in str(w.message)]


def test_gradients_reach_what_f_closes_over() -> None:
    for k in range(4):
        w = torch.full((4,), 0.3 + k, dtype=D, requires_grad=True)
        x = X.clone().requires_grad_()
        for spec in ("auto", "taylor", "vmap"):
            found, expected = (
                torch.autograd.grad(laplacian(lambda x, w=w: (w * NET(x)).square().sum(-1), x, one).sum(), (w, x))
                for one in (spec, "identity")
            )
            torch.testing.assert_close(found, expected)


def test_companions_arguments_and_coordinates() -> None:
    for k in range(4):
        t = torch.rand(len(X), 1, dtype=D)
        scale = 0.5 + k

        def u(x: Tensor, t: Tensor) -> Tensor:
            return (scale * t * NET(x)).prod(-1)  # noqa: B023 - it is called at once

        for spec in ("taylor", "auto", "vmap"):
            value, slope, second = value_gradient_laplacian(u, X, spec, args=(t,))
            torch.testing.assert_close(value, u(X, t))
            torch.testing.assert_close(second, laplacian(u, X, "identity", args=(t,)))
            part = laplacian(u, X, spec, args=(t,), coordinates=(0, 2))
            torch.testing.assert_close(part, laplacian(u, X, "identity", args=(t,), coordinates=(0, 2)))
            assert slope.shape == X.shape


def test_a_weight_made_anew_at_each_call() -> None:
    for k in range(4):
        torch.testing.assert_close(
            laplacian(lambda x: NET(x).prod(-1), X, "vmap", weight=lambda x, k=k: (k + 1) * x),
            (k + 1) * laplacian(lambda x: NET(x).prod(-1), X, "identity", weight=X),
        )


@pytest.mark.parametrize("make", [with_tensor, with_matrix_of_one_row, with_float])
@pytest.mark.parametrize("spec", ["auto", "taylor", "chain", "vmap", "jacrev"])
def test_one_point_and_inference_mode(make: Any, spec: str) -> None:
    for x in (X[:1], X[0]):
        for k in range(4):
            call, f = (laplacian, scalar(make, k)) if spec == "taylor" else (divergence, make(k))
            expected = call(f, x, "identity").detach()
            torch.testing.assert_close(call(f, x, spec).detach(), expected)
            with torch.inference_mode():
                torch.testing.assert_close(call(f, x, spec), expected)


def test_other_shapes_modes_and_outputs() -> None:
    def outputs(m: int) -> Callable[[Tensor], Tensor]:
        return lambda x: NET(x)[:, :m].square()

    for x in (X, X[:2], X[0], X.float()):
        net = NET.to(x.dtype)
        for tracked in (True, False):
            with torch.set_grad_enabled(tracked):
                torch.testing.assert_close(divergence(net, x), divergence(net, x, "identity"))
        NET.to(D)
    for m in (1, 3, 2):
        assert laplacian(outputs(m), X, "taylor").shape == (5, m)


def test_what_fails_says_so_at_each_call() -> None:
    for _ in range(3):
        with pytest.raises(UnsupportedError, match="chain cannot serve"):
            laplacian(lambda x: x.sum(-1), X, "chain")
        with pytest.raises(Exception, match="of f itself"):
            divergence(_raising, X, "vmap")


def _raising(x: Tensor) -> Tensor:
    raise RuntimeError("of f itself")


@pytest.mark.parametrize("spec", ["hutchinson:probes=2", "hutchinson:probes=2,fixed=true"])
def test_random_probes_are_drawn_at_each_call_from_the_generator(spec: str) -> None:
    generator = torch.Generator()
    found = []
    for _ in range(3):
        generator.manual_seed(3)
        found += [divergence(lambda x, k=k: (k + 1) * NET(x), X, spec, generator) / (k + 1) for k in range(3)]
    torch.testing.assert_close(found[3:6], found[:3])
    torch.testing.assert_close(found[6:], found[:3])
    assert not torch.allclose(found[0], found[1])
    assert not torch.allclose(found[1], found[2])


def test_a_layer_that_is_replaced_is_held_against_a_witness(monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 4)).to(D).requires_grad_(False)
    held = []
    confirm = Prepared.confirm
    monkeypatch.setattr(Prepared, "confirm", lambda self, *args: held.append(1) or confirm(self, *args))
    for _ in range(3):
        divergence(net, X, "vmap")
    assert len(held) == 1
    net[1] = nn.SiLU()
    torch.testing.assert_close(divergence(net, X, "vmap"), divergence(net, X, "identity"))
    assert len(held) == 3


def test_what_a_kept_recording_rests_on_is_looked_at_anew_when_it_changes() -> None:
    class Scale:
        value: object = 2.0

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = Scale()

        def forward(self, x: Tensor) -> Tensor:
            return x.sin() * float(self.scale.value if not isinstance(self.scale.value, np.ndarray) else 4.0)

    net = nn.Sequential(Block(), nn.Linear(4, 4).to(D)).requires_grad_(False)
    for value in (2.0, 3.0, np.full(1, 4.0), 5.0, 5.0):
        net[0].scale.value = value
        for _ in range(2):
            torch.testing.assert_close(divergence(net, X, "chain"), divergence(net, X, "identity"))


class Trainer:
    """As people write it: with a lock, a log and data beside the network."""

    def __init__(self) -> None:
        self.net, self.lock, self.log, self.queue = NET, threading.Lock(), {0: 1.0}, queue.Queue()
        self.data = [torch.ones(1)] * 5000

    def field(self, x: Tensor) -> Tensor:
        return self.net(x)


@pytest.fixture
def preparations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The specs of what is prepared meanwhile."""
    seen: list[str] = []
    prepare = Strategy._prepared

    def watched(strategy: Strategy, *args: Any, **kwargs: Any) -> Any:
        seen.append(strategy.spec)
        return prepare(strategy, *args, **kwargs)

    monkeypatch.setattr(Strategy, "_prepared", watched)
    return seen


def test_a_method_of_an_object_with_a_lock_is_served_without_being_prepared_anew(preparations: list[str]) -> None:
    trainer, wanted = Trainer(), divergence(NET, X, "identity")
    for function in (trainer.field, lambda x: trainer.field(x)):
        torch.testing.assert_close(divergence(function, X), wanted)
        preparations.clear()
        for step in range(5):
            trainer.log[step] = 2.0
            torch.testing.assert_close(divergence(function, X), wanted)
        assert preparations == []


LONG = [2.0] * 5000


def test_what_is_not_understood_is_not_recorded_at_each_call(preparations: list[str]) -> None:
    def f(x: Tensor) -> Tensor:
        return (x * LONG[1000]).sin().sum(-1)

    laplacian(f, X)
    preparations.clear()
    for number in (2.0, 3.0):
        LONG[1000] = number
        for _ in range(2):
            torch.testing.assert_close(laplacian(f, X), -(number**2) * (number * X).sin().sum(-1))
    assert preparations == []


@pytest.mark.parametrize("make", [lambda: NET, lambda: torch.tanh, lambda: SimpleNamespace(k=2.0), lambda: [1.0]])
def test_arguments_that_may_change_without_a_sign_cost_no_recording_a_call(make: Any, preparations: list[str]) -> None:
    def f(x: Tensor, argument: Any) -> Tensor:
        return argument(x).sin() if callable(argument) else x.sin()

    argument = make()
    wanted = divergence(lambda x: f(x, argument), X, "identity")
    prepared = parse_strategy("auto").prepare("divergence", f, X, args=(argument,))
    assert not prepared.contraction.is_traced
    divergence(f, X, args=(argument,))
    preparations.clear()
    for _ in range(3):
        torch.testing.assert_close(divergence(f, X, args=(argument,)), wanted)
        torch.testing.assert_close(prepared(X, argument), wanted)
    assert preparations == []


class TestInsideACheckpoint:
    """Where the caller computes a block again on the way back, which counts what a graph saves."""

    X = X.clone().requires_grad_()

    @staticmethod
    def network(outputs: int) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, outputs)).to(D)

    def slopes(self, operator: Any, net: Any, spec: str, is_checkpointed: bool, use_reentrant: bool = False) -> Any:
        def block(x: Tensor) -> Tensor:
            return operator(net, x, spec).square()

        y = checkpoint(block, self.X, use_reentrant=use_reentrant) if is_checkpointed else block(self.X)
        for p in net.parameters():
            p.grad = None
        y.sum().backward(inputs=None if use_reentrant else [*net.parameters()])
        return [y.detach(), *(torch.zeros_like(p) if p.grad is None else p.grad for p in net.parameters())]

    @pytest.mark.parametrize("use_reentrant", [False, True])
    @pytest.mark.parametrize("spec", ["identity", "chain", "auto"])
    def test_a_divergence_is_differentiated(self, spec: str, use_reentrant: bool) -> None:
        net = self.network(4)
        expected = self.slopes(divergence, net, "identity", False)
        for _ in range(2):
            found = self.slopes(divergence, net, spec, True, use_reentrant)
            torch.testing.assert_close(found, expected)

    @pytest.mark.parametrize("use_reentrant", [False, True])
    @pytest.mark.parametrize("spec", ["identity", "taylor", "taylor:checkpoint=true", "auto"])
    def test_a_laplacian_is_differentiated(self, spec: str, use_reentrant: bool) -> None:
        net = self.network(1)
        expected = self.slopes(laplacian, net, "identity", False)
        for _ in range(2):
            found = self.slopes(laplacian, net, spec, True, use_reentrant)
            torch.testing.assert_close(found, expected)

    @pytest.mark.parametrize(
        "function", [gradient, curl, partial(derivatives_along, v=torch.ones(3, dtype=D), order=3)]
    )
    def test_so_is_what_has_no_strategy(self, function: Any) -> None:
        x = self.X.detach()[:, :3].clone().requires_grad_()
        net = nn.Linear(3, 3).to(D)

        def f(x: Tensor) -> Tensor:
            return net(x).sin() if function is curl else net(x).sin().sum(-1)

        found, expected = [
            torch.autograd.grad(one(x).square().sum(), x)
            for one in (
                lambda x: checkpoint(lambda x: function(f, x), x, use_reentrant=False),
                lambda x: function(f, x),
            )
        ]
        torch.testing.assert_close(found, expected)

    def test_what_torch_refuses_there_is_told(self) -> None:
        with pytest.raises(UnsupportedError, match="checkpoint, in f or around the call, saves by hooks"):
            self.slopes(laplacian, self.network(1), "vmap", True)
