"""A direct call like the latest one of its code is known at a glance, and another one is not."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from jacstrat import divergence, jacobian_diagonal, parse_strategy, value_and_divergence
from jacstrat.core.operator import OPERATORS, Operator
from jacstrat.strategies import direct
from jacstrat.strategies.direct import Direct
from jacstrat.strategies.entries import TABLE
from jacstrat.strategies.glance import code_of
from tests.strategies.makers import MAKERS, NET, D, X, with_branch, with_size

pytestmark = pytest.mark.long(but_one_in=3)


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One for each call that was not known at a glance."""
    made: list[object] = []

    class Watched(Direct):
        def served(self) -> Any:
            made.append(1)
            return super().served()

    monkeypatch.setattr(direct, "Direct", Watched)
    return made


def _expected(f: Callable[..., Tensor], x: Tensor = X, args: Any = (), coordinates: Any = None) -> Tensor:
    operator = Operator("divergence", "field", 1, "trace", coordinates)
    return parse_strategy("identity").prepare(operator, f, x, args=args)(x, *args)


@pytest.mark.parametrize("make", [make for make in MAKERS if make not in (with_size, with_branch)])
@pytest.mark.parametrize("spec", ["chain", "vmap"])
def test_a_loop_is_known_at_a_glance(make: Any, spec: str, keyed: list[object]) -> None:
    expected = [_expected(make(k)) for k in range(7)]
    for k in range(14):
        if k == 10:
            keyed.clear()
        torch.testing.assert_close(divergence(make(k % 7), X, spec), expected[k % 7])
    assert not keyed


def test_what_is_asked_for_besides_is_another_call(keyed: list[object]) -> None:
    def call(x: Tensor = X, t: float = 0.5, **options: Any) -> int:
        """How often keys were made."""
        before = len(keyed)
        args = options.get("args", ())
        f = (lambda x, *rest: t * NET(x) * rest[0]) if args else (lambda x: t * NET(x))
        torch.testing.assert_close(divergence(f, x, "chain", **options), _expected(f, x, **options))
        return len(keyed) - before

    for k in range(5):
        call(t=float(k))
    assert call(t=7.0) == 0
    assert call(X[:2]) == call(X.float().double()[:1]) == 1
    for k in range(5):
        call(t=float(k))
    with torch.no_grad():
        assert call() == 1
    with torch.autograd.graph.saved_tensors_hooks(lambda v: v, lambda v: v):
        assert call() == 1
    with torch.inference_mode():
        assert call() == 1
    assert call(X.clone().requires_grad_()) == 1
    assert call(coordinates=(0, 1)) == 1
    for k in range(6):
        call(args=(torch.tensor(float(k), dtype=D),))
    assert call(args=(torch.tensor(3.0, dtype=D),)) == 0
    assert call(args=(torch.tensor(3.0),)) == 1
    assert call(args=(3.0,)) == 1


def test_the_same_object_twice_is_not_two_objects() -> None:
    class Held:
        def __init__(self, value: float) -> None:
            self.value = value

    def make(a: Held, b: Held) -> Callable[[Tensor], Tensor]:
        return lambda x: (a.value + (1 if a is b else 2) * b.value) * NET(x)

    for k in range(6):
        f = make(Held(k / 3), Held(k / 7))
        torch.testing.assert_close(divergence(f, X, "chain"), _expected(f))
    both = Held(0.3)
    torch.testing.assert_close(divergence(make(both, both), X, "chain"), _expected(make(both, both)))


def test_a_global_that_was_a_builtin_is_seen() -> None:
    scope: dict[str, Any] = {"__name__": "users", "net": NET}
    exec("def make(t):\n    return lambda x: t * abs(net(x))", scope)
    for k in range(5):
        divergence(scope["make"](k / 3), X, "vmap")
        torch.testing.assert_close(divergence(scope["make"](k / 3), X, "chain"), _expected(scope["make"](k / 3)))
    scope["abs"] = torch.sin
    for spec in ("chain", "vmap"):
        torch.testing.assert_close(divergence(scope["make"](0.3), X, spec), _expected(scope["make"](0.3)))


@pytest.mark.parametrize("spec", ["chain", "vmap"])
def test_layers_of_a_users_module_and_its_mode_are_seen(spec: str) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.scale = nn.Linear(X.shape[-1], X.shape[-1], dtype=D), 1.0

        def forward(self, x: Tensor) -> Tensor:
            return self.scale * torch.tanh(self.layer(x)) * (1 if self.training else 2)

    net = Net()

    def check() -> None:
        f = lambda x: net(x)  # noqa: E731 - made anew at each call
        torch.testing.assert_close(divergence(f, X, spec), _expected(f))

    for _ in range(5):
        check()
    net.eval()
    check()
    for net.scale in (2.0, 3.0, 4.0, 5.0):
        check()
    net.layer = nn.Linear(X.shape[-1], X.shape[-1], dtype=D)
    check()
    net.layer = nn.Sequential(nn.Linear(X.shape[-1], X.shape[-1], dtype=D), nn.Tanh())
    check()
    net.forward = lambda x: x.sin()
    check()


def test_defaults_partials_and_containers_are_followed(keyed: list[object]) -> None:
    def inner(x: Tensor, t: float, *, scales: tuple[float, ...] = (1.0,)) -> Tensor:
        return t * scales[0] * NET(x)

    for k in range(12):
        f = functools.partial(inner, t=k / 3, scales=(k / 7, 2.0))
        keyed.clear()
        torch.testing.assert_close(divergence(f, X, "vmap"), _expected(f))
    assert not keyed
    other = functools.partial(inner, t=0.3, scales=(0.7, 2.0, 3.0))
    torch.testing.assert_close(divergence(other, X, "vmap"), _expected(other))
    assert keyed


def test_another_operator_of_the_same_function_has_a_glance_of_its_own(keyed: list[object]) -> None:
    for k in range(6):
        t = k / 3
        keyed.clear()
        f = lambda x, t=t: t * x.sin()  # noqa: E731 - made anew at each call
        torch.testing.assert_close(jacobian_diagonal(f, X, "vmap"), t * X.cos())
        value, result = value_and_divergence(f, X, "vmap")
        torch.testing.assert_close((value, result), (t * X.sin(), (t * X.cos()).sum(-1)))
    assert not keyed


def test_an_error_of_what_is_kept_is_no_error_of_the_call() -> None:
    """A scalar field of another form at a later call, which the key cannot tell."""
    count = [0]

    def make() -> Callable[[Tensor], Tensor]:
        def f(x: Tensor) -> Tensor:
            count[0] += 1
            return x.sin() if count[0] < 60 else torch.complex(x.sin(), x.cos())

        return f

    for _ in range(80):
        result = divergence(make(), X, "vmap")
    torch.testing.assert_close(result, torch.complex(X.cos().sum(-1), -X.sin().sum(-1)))


def test_glances_go_with_their_entries_and_keep_nothing_alive() -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 4)).to(D)
    gone = weakref.ref(net)

    def call(net: nn.Module) -> None:
        f = lambda x: net(x)  # noqa: E731 - made anew at each call
        divergence(f, X, "vmap")

    for _ in range(4):
        call(net)
    assert len(TABLE._glances) == 1
    (glance,) = TABLE._glances.values()
    del net
    gc.collect()
    assert gone() is None
    TABLE.drop(glance.key)
    assert not TABLE._glances


def test_a_code_at_the_same_address_is_another_code() -> None:
    operator = OPERATORS["divergence"]
    f = lambda x: x.sin()  # noqa: E731 - its code is looked at
    for _ in range(4):
        divergence(f, X, "vmap")
    glance = TABLE.glance(code_of(f, operator))
    assert glance is not None
    assert glance.arguments(parse_strategy("vmap"), operator, lambda x: x.cos(), X, (), 1) is None
