"""A guard tells that what a function reads has changed, and what; and does not take anything else for it."""

from __future__ import annotations

import builtins
import copy
import random
import threading
import types
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from jacstrat.trace import guard as guarding
from jacstrat.trace.guard import Guard
from tests.trace.guarded import IGNORED, OF_VELOCITY, OTHERS, WAYS, Change, Velocity, X, all_is_put_back, hooked


@pytest.fixture(autouse=True)
def _all_is_put_back() -> Iterator[None]:
    with all_is_put_back():
        yield


@pytest.mark.parametrize(("words", "change"), OF_VELOCITY)
def test_a_change_of_a_module_is_seen_and_named(words: str, change: Change):
    net = Velocity()
    guard = Guard.of(net)
    assert guard.change() is None
    change(net)
    assert guard.change() == words
    assert guard.change() == words, "the guard is as it was"
    assert Guard.of(net).change() is None


@pytest.mark.parametrize("way", WAYS)
def test_a_module_is_found_wherever_it_is(way: Callable[[Velocity], Any]):
    net = Velocity()
    guard = Guard.of(way(net))
    assert guard.change() is None
    net.scale = 3.0
    assert guard.change() == "`scale` of Velocity"


@pytest.mark.parametrize(("made", "reading", "change", "words"), OTHERS)
def test_a_change_is_seen_and_named(made: Callable[[], Any], reading: Callable[[Any], Any], change: Change, words: str):
    value = made()
    f = reading(value)
    guard = Guard.of(f)
    assert guard.change() is None
    change(value)
    assert guard.change() == words
    assert Guard.of(f).change() is None


@pytest.mark.parametrize(("made", "reading", "change"), IGNORED)
def test_what_is_not_read_is_not_seen(made: Callable[[], Any], reading: Callable[[Any], Any], change: Change):
    value = made()
    guard = Guard.of(reading(value))
    assert guard.change() is None
    change(value)
    assert guard.change() is None


def test_a_variable_is_told_by_its_name_and_that_of_the_function():
    t = torch.ones(4)

    def f(x: Tensor) -> Tensor:
        return x * t

    guards = [Guard.of(f), Guard.of(lambda x: f(x))]
    t = torch.ones(4)
    assert [guard.change() for guard in guards] == ["`t`, which f closes over"] * 2


def test_what_a_hook_reads_is_seen():
    size = 1.0
    net = hooked(nn.Linear(4, 4), lambda module, inputs, output: output * size)
    guard = Guard.of(net)
    assert guard.change() is None
    size = 2.0
    assert guard.change() == "`size`, which a lambda closes over"


def test_a_hook_of_all_modules_is_seen():
    guard = Guard.of(nn.Tanh())
    handle = nn.modules.module.register_module_forward_hook(print)
    changed = guard.change()
    handle.remove()
    assert changed == "the length of `_forward_hooks` of all modules"
    assert guard.change() is None


def test_a_parameter_of_a_parametrization_is_seen():
    net = nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 4)))
    guard = Guard.of(net)
    net(X)
    assert guard.change() is None
    net[0].parametrizations["weight"].original0 = nn.Parameter(torch.ones(4, 1))
    assert guard.change() == "`original0` of ParametrizationList"


def odd_callables() -> list[Any]:
    class Refusing:
        """Whatever is asked of it is a mistake."""

        __class__ = property(lambda self: 1 / 0)  # type: ignore[assignment]
        value = property(lambda self: 1 / 0)

        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(name)

        def __refuse(self, *_: Any) -> Any:
            raise RuntimeError

        __eq__ = __hash__ = __len__ = __bool__ = __iter__ = __getitem__ = __repr__ = __refuse

        def __call__(self, x: Tensor) -> Tensor:
            return x

    class RefusingClass(type):
        def __getattribute__(cls, name: str) -> Any:
            raise RuntimeError(name)

    class Unhashable(type):
        def __eq__(cls, other: object) -> bool:
            raise RuntimeError

        __hash__ = None  # type: ignore[assignment]

    class OfUnhashableClass(metaclass=Unhashable):
        def __call__(self, x: Tensor) -> Tensor:
            return x

    class OfRefusingClass(metaclass=RefusingClass):
        def __call__(self, x: Tensor) -> Tensor:
            return x

    class RefusingDict(dict[str, Any]):
        __len__ = __iter__ = __getitem__ = keys = items = values = lambda self, *_: 1 / 0  # type: ignore[assignment]

    refusing = Refusing()
    held = [Refusing(), RefusingDict(a=1), {Refusing: 1, torch.ones(1): 2}, deque([1]), np.ones(3), threading.Lock()]
    held += [random.Random(0), iter([1]), (i for i in range(3)), open, mock.MagicMock(), frozenset([1, X]), {X}, print]
    linear = nn.Linear(4, 4)
    frozen = torch.jit.freeze(torch.jit.script(nn.Sequential(linear)).eval())

    @torch.jit.script
    def scripted(x: Tensor) -> Tensor:
        return x * 2

    return [
        refusing,
        lambda x: (refusing, x)[1],
        lambda x: (held, x)[1],
        OfRefusingClass(),
        OfUnhashableClass(),
        types.SimpleNamespace(forward=OfUnhashableClass(), net=lambda x: x),
        scripted,
        frozen,
        torch.jit.script(nn.Sequential(linear)),
        torch.jit.trace(linear, X),
        torch.fx.symbolic_trace(nn.Sequential(linear)),
        torch.export.export(nn.Sequential(linear), (X,)).module(),
        torch.func.grad(lambda x: linear(x).sum()),
        torch.func.jacrev(torch.vmap(linear)),
        copy.deepcopy(linear),
        nn.LSTM(4, 4),
        nn.TransformerEncoderLayer(4, 2, 8),
        parametrize.register_parametrization(nn.Linear(4, 4), "weight", nn.Tanh()),
        torch.sin,
        X.add,
        np.sin,
        mock.MagicMock(),
        Velocity,
        nn.Linear,
        3,
        None,
    ]


def test_nothing_odd_raises_or_changes():
    for f in odd_callables():
        assert Guard.of(f).change() is None


def test_an_empty_cell_is_left_out():
    def f(x: Tensor) -> Tensor:
        return x * later

    guard = Guard.of(f)
    later = 2.0
    assert guard.change() is None
    assert Guard.of(f).change() is None


def test_what_f_writes_itself_is_dropped():
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.calls, self.cache = 2.0, 0, {}

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            self.cache[self.calls] = x
            return x * self.scale

    f = Counting()
    guard = Guard.of(f)
    f(X)
    assert guard.change() == "`calls` of Counting"
    settled = guard.settled()
    assert len(settled.checks) == len(guard.checks) - 2
    f(X)
    assert settled.change() is None
    f.scale = 3.0
    assert settled.change() == "`scale` of Counting"
    assert len(guard.checks) > len(settled.checks), "settling gives another guard"


def test_a_guard_of_what_is_put_back_holds_again():
    net = Velocity()
    guard = Guard.of(net)
    first = net.first
    net.first = nn.Linear(4, 4)
    assert guard.change() is not None
    net.first = first
    assert guard.change() is None


def test_cycles_end():
    around: dict[str, Any] = {}
    around["self"] = [around]
    net = Velocity()
    net.options = {"gain": 1.0, "net": net, "around": around}
    guard = Guard.of(net)
    assert guard.change() is None
    around["self"].append(1)
    assert guard.change() == "the length of item 'self' of item 'around' of `options` of Velocity"


def test_depth_is_no_matter():
    deep: list[Any] = [1.0]
    inner = deep
    for _ in range(3000):
        deep = [deep]
    guard = Guard.of(lambda x: x * deep[0][0])
    assert guard.change() is None
    inner[0] = 2.0
    assert guard.change() is not None


def test_a_walk_has_an_end():
    many = [[[0] * 200 for _ in range(80)] for _ in range(80)]
    guard = Guard.of(lambda x: x * len(many))
    assert guard.change() is None
    assert len(guard.checks) <= guarding.CHECKS + guarding.ITEMS
    many[0] = []
    assert guard.change() == "item 0 of `many`, which a lambda closes over"


def test_a_layer_beside_many_others_is_seen():
    net = nn.Sequential(*(nn.Sequential(nn.Linear(2, 2), nn.Tanh()) for _ in range(300)))
    guard = Guard.of(net)
    assert guard.change() is None
    net[299][1] = nn.Sigmoid()
    assert guard.change() == "`1` of Sequential"


@pytest.mark.parametrize(
    "container",
    [[2.0] * 1000, dict.fromkeys(range(1000), 2.0), deque([2.0] * 1000), [torch.tensor(2.0)] * 1000],
    ids=["list", "dict", "deque", "tensors"],
)
def test_items_of_long_containers_are_compared_all_at_once(container: Any) -> None:
    guard = Guard.of(lambda x: x * container[500])
    assert guard.change() is None
    before = container[500]
    container[500] = 2.0 if isinstance(before, float) else before
    assert guard.change() is None
    container[500] = 5.0
    assert guard.change() == "the items of `container`, which a lambda closes over"
    container[500] = before
    assert guard.change() is None


def test_a_default_dtype_is_read_by_all():
    guard, before = Guard.of(lambda x: x * torch.ones(3)), torch.get_default_dtype()
    assert guard.change() is None
    try:
        torch.set_default_dtype(torch.float64)
        assert guard.change() == "torch's default dtype"
    finally:
        torch.set_default_dtype(before)
    assert guard.change() is None


def test_another_function_in_the_place_of_a_library_s_is_seen(monkeypatch: pytest.MonkeyPatch):
    guard, other = Guard.of(lambda x: nn.functional.softplus(x)), Guard.of(lambda x: nn.functional.silu(x))
    scale = [1.0]
    monkeypatch.setattr(nn.functional, "softplus", lambda x: scale[0] * x)
    assert guard.change() == "`torch.nn.functional.softplus`"
    assert other.change() is None
    guard = Guard.of(lambda x: nn.functional.softplus(x))
    assert guard.change() is None
    scale[0] = 2.0
    assert guard.change() == "item 0 of `scale`, which a lambda closes over"


def test_a_builtin_is_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(builtins, "rate", 2.0, raising=False)
    f = eval("lambda x: rate * abs(x)", {})
    guard = Guard.of(f)
    assert guard.change() is None
    monkeypatch.setattr(builtins, "rate", 3.0, raising=False)
    assert guard.change() == "the builtin `rate`"
    guard = Guard.of(f)
    f.__globals__["rate"] = 4.0
    assert guard.change() == "the global `rate`"


def test_whether_a_tensor_requires_gradients_is_seen_where_that_is_asked_for():
    w = torch.ones(4)
    guard, other = Guard.of(lambda x: x * w if w.requires_grad else x), Guard.of(lambda x: x * w)
    assert guard.change() is None
    w.requires_grad_()
    assert guard.change() == "`requires_grad` of `w`, which a lambda closes over"
    assert other.change() is None
