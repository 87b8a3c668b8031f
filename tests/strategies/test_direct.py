"""Direct calls in a loop: prepared once, right for every function, and bounded."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import jacstrat.trace.cache
from jacstrat import UnsupportedError, divergence, laplacian, parse_strategy, value_gradient_laplacian
from jacstrat.strategies import entries
from jacstrat.strategies.entries import INTEGERS, TABLE
from jacstrat.strategies.prepared import Prepared

D = torch.float64
X = torch.rand(5, 4, dtype=D, generator=torch.Generator().manual_seed(0)) + 0.1
torch.manual_seed(0)
NET = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 4)).to(D).requires_grad_(False)


@dataclass
class Field:
    """As people write one: a network, and what changes."""

    net: nn.Module
    t: float
    calls: int = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.t * self.net(x)

    def scalar(self, x: Tensor) -> Tensor:
        return self(x).square().sum(-1)


def with_float(k: int) -> Callable[[Tensor], Tensor]:
    t = 0.5 + k
    return lambda x: t * NET(x)


def with_number_of_numpy(k: int) -> Callable[[Tensor], Tensor]:
    t, power = np.linspace(0.1, 1.0, 9)[k], np.int64(k + 1)
    return lambda x: t * NET(x) ** power


def with_matrix_of_one_row(k: int) -> Callable[[Tensor], Tensor]:
    row = torch.full((1, 4), 0.3 * k + 0.1, dtype=D)
    return lambda x: (NET(x).unsqueeze(-2) * row).sum(-2)


def with_integer(k: int) -> Callable[[Tensor], Tensor]:
    return lambda x: NET(x) ** (k + 2) / (k + 3)


def with_tensor(k: int) -> Callable[[Tensor], Tensor]:
    shift = torch.full((4,), 0.1 * k, dtype=D)
    return lambda x: NET(x + shift)


def with_rows(k: int) -> Callable[[Tensor], Tensor]:
    of_rows = torch.linspace(0.1, 1 + k, len(X), dtype=D).unsqueeze(-1)
    return lambda x: of_rows * NET(x)


def with_number_of_no_axes(k: int) -> Callable[[Tensor], Tensor]:
    t = torch.tensor(0.3 * k + 0.2, dtype=D)
    return lambda x: NET(x) * t.exp()


def with_object(k: int) -> Callable[[Tensor], Tensor]:
    return Field(NET, 0.7 * k + 0.1)


def with_method(k: int) -> Callable[[Tensor], Tensor]:
    return Field(NET, 0.7 * k + 0.1).__call__


def with_default(k: int) -> Callable[[Tensor], Tensor]:
    def f(x: Tensor, t: float = 0.2 * k) -> Tensor:
        return (NET(x) + t).tanh()

    return f


def with_partial(k: int) -> Callable[[Tensor], Tensor]:
    return functools.partial(lambda t, x: NET(x * t), 0.3 * k + 0.2)


def with_inner(k: int) -> Callable[[Tensor], Tensor]:
    inner = with_float(k)
    return lambda x: inner(x).sin()


def with_dict(k: int) -> Callable[[Tensor], Tensor]:
    settings = {"scale": 0.4 * k + 0.1, "steps": [1, 2.0 * k]}
    return lambda x: NET(x) * settings["scale"] + settings["steps"][1] * x


class Conditioned(nn.Module):
    """A module whose time is an attribute, as flows have it, with one of its own within."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.t, self.calls = inner, 0.0, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.inner(x) * (1 + self.t)


CONDITIONED = Conditioned(NET)
NESTED = Conditioned(CONDITIONED)


def with_attribute_of_a_module(k: int) -> Callable[[Tensor], Tensor]:
    CONDITIONED.t = 0.3 * k
    return CONDITIONED


def with_attribute_of_a_module_within(k: int) -> Callable[[Tensor], Tensor]:
    CONDITIONED.t, NESTED.t = 0.3 * k, 0.1 * k
    return lambda x: NESTED(x)


def with_global(k: int) -> Callable[[Tensor], Tensor]:
    global TIME
    TIME = 0.4 * k + 0.1
    return _of_global_time


def _of_global_time(x: Tensor) -> Tensor:
    return NET(x) * _time()


def _time() -> float:
    return TIME + 1


def with_size(k: int) -> Callable[[Tensor], Tensor]:
    return lambda x: sum(NET(x) for _ in range(1 + k % 3))  # no fraction will do


def with_branch(k: int) -> Callable[[Tensor], Tensor]:
    return lambda x: NET(x).sin() if k % 2 else NET(x).exp()


MAKERS = [
    with_float,
    with_number_of_numpy,
    with_matrix_of_one_row,
    with_integer,
    with_tensor,
    with_rows,
    with_number_of_no_axes,
    with_object,
    with_method,
    with_default,
    with_partial,
    with_inner,
    with_dict,
    with_attribute_of_a_module,
    with_attribute_of_a_module_within,
    with_global,
    with_size,
    with_branch,
]


def scalar(make: Callable[[int], Callable[[Tensor], Tensor]], k: int) -> Callable[[Tensor], Tensor]:
    f = make(k)
    return lambda x: f(x).square().sum(-1)


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One for each recording of a function."""
    made: list[object] = []
    record = jacstrat.trace.cache.record
    monkeypatch.setattr(jacstrat.trace.cache, "record", lambda *args: made.append(1) or record(*args))
    return made


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("spec", ["auto", "identity", "vmap", "chain", "ones"])
def test_the_divergence_is_that_of_each_function(make: Any, spec: str) -> None:
    for k in range(7):
        if spec == "ones":
            found, expected = divergence(make(k), X, spec), parse_strategy(spec).prepare("divergence", make(k), X)(X)
        else:
            found, expected = divergence(make(k), X, spec), divergence(make(k), X, "jvp")
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("spec", ["auto", "taylor", "jvp"])
def test_the_laplacian_is_that_of_each_function(make: Any, spec: str) -> None:
    for k in range(7):
        torch.testing.assert_close(
            laplacian(scalar(make, k), X, spec), parse_strategy("identity").prepare("laplacian", scalar(make, k), X)(X)
        )


@pytest.mark.parametrize("make", [m for m in MAKERS if m not in (with_size, with_branch)])
def test_what_changes_costs_no_recording(make: Any, recordings: list[object]) -> None:
    for k in range(2):
        laplacian(scalar(make, k), X, "taylor")
    before = len(recordings)
    for k in range(2, 9):
        laplacian(scalar(make, k), X, "taylor")
    assert len(recordings) == before


def test_what_f_does_beside_its_result_is_done() -> None:
    field = Field(NET, 1.0)
    for spec in ("identity", "vmap"):
        divergence(field, X, spec)
        before = field.calls
        for _ in range(INTEGERS):
            divergence(field, X, spec)
        assert field.calls > before


def test_a_loop_over_a_variable_of_its_scope() -> None:
    for t in (0.1, 0.2, 0.3, 0.4):
        torch.testing.assert_close(
            laplacian(lambda x: t * NET(x).prod(-1), X, "taylor"),  # noqa: B023 - it is called at once
            t * laplacian(lambda x: NET(x).prod(-1), X, "identity"),
        )


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


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "KEPT", 3)
    for number in range(6):
        divergence(eval(f"lambda x: x * {number}.5"), X, "vmap")  # each of a code of its own
    assert len(TABLE._entries) == 3


def test_no_more_bytes_are_kept_alive_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "ALL_BYTES", 1000)
    nets = [nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 4)).to(D) for _ in range(3)]  # 464 bytes each
    gone = [weakref.ref(net) for net in nets]
    for net in nets:
        divergence(net, X, "chain")
    del net, nets
    gc.collect()
    assert [one() is None for one in gone] == [True, False, False]
    monkeypatch.setattr(entries, "MOST_BYTES", 100)
    TABLE.forget()
    net = nn.Linear(4, 4).to(D)
    divergence(net, X, "chain")
    assert not TABLE._entries


def test_what_calls_f_itself_keeps_nothing_alive() -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 4)).to(D)
    gone = weakref.ref(net)
    divergence(lambda x, net=net: net(x), X, "vmap")
    assert len(TABLE._entries) == 1
    del net
    gc.collect()
    assert gone() is None


def test_a_thousand_calls_prepare_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    start = Prepared.__init__
    monkeypatch.setattr(Prepared, "__init__", lambda *args: made.append(1) or start(*args))
    for k in range(200):
        divergence(with_object(k), X[:1], "identity")
    assert len(made) < 3 + INTEGERS


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


@pytest.mark.parametrize("spec", ["taylor", "auto", "chain"])
def test_powers_that_change_at_zero(spec: str) -> None:
    x = torch.zeros(3, 4, dtype=D)
    for k in (2, 3, 1, 0, 4):

        def field(x: Tensor, k: int = k) -> Tensor:
            return x**k

        def of_sum(x: Tensor, k: int = k) -> Tensor:
            return (x**k).sum(-1)

        call, f = (laplacian, of_sum) if spec == "taylor" else (divergence, field)
        torch.testing.assert_close(call(f, x, spec), call(f, x, "identity"))
