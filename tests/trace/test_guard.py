"""A guard tells that what a function reads has changed, and what; and does not take anything else for it."""

from __future__ import annotations

import argparse
import copy
import functools
import random
import threading
import types
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from jacstrat.trace import guard as guarding
from jacstrat.trace.guard import Guard

NAN = float("nan")
P = "`p`, which a lambda closes over"
KEYWORDS = "`keywords` of a partial"
X = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))

alpha = 2.0
gain: Any = torch.sin
unrelated = 1.0
config: Any = types.ModuleType("config")
config.alpha = 2.0
config.other = 2.0
config.inner = types.ModuleType("config.inner")
config.inner.beta = 3.0


@pytest.fixture(autouse=True)
def all_is_put_back():
    owners: list[Any] = [config, config.inner, Velocity, Square]
    scope, before = dict(globals()), [dict(vars(owner)) for owner in owners]
    yield
    globals().clear()
    globals().update(scope)
    for owner, fields in zip(owners, before, strict=True):
        for name, item in fields.items():
            if vars(owner)[name] is not item:
                setattr(owner, name, item)


def sets(**attributes: Any) -> Callable[[Any], object]:
    return lambda owner: [setattr(owner, name, item) for name, item in attributes.items()]


def sets_item(key: Any, item: Any) -> Callable[[Any], object]:
    return lambda container: container.__setitem__(key, item)


def itself(f: Any) -> Any:
    return f


class Velocity(nn.Module):
    """What people write: numbers, a list, a switch, a method, a property, layers and tensors."""

    factor = 1.5
    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Sequential(nn.Tanh(), nn.Dropout(0.0), nn.Linear(4, 4))
        self.weight = nn.Parameter(torch.ones(4))
        self.register_buffer("shift", torch.zeros(4))
        self.t = torch.ones(4)
        self.scale = 2.0
        self.power = 2
        self.rates = [1.0, 2.0, 3.0]
        self.options = {"gain": 1.0, "layers": [nn.Linear(4, 4)]}
        self.act = torch.tanh
        self.kind = "plain"
        self._limit = 3.0
        self.width = 4
        self.losses: list[float] = []
        self.calls = 0

    @property
    def limit(self) -> float:
        return self._limit

    def helped(self, x: Tensor) -> Tensor:
        return self.act(self.first(x)) * self.scale**self.power

    def forward(self, x: Tensor) -> Tensor:
        x = self.helped(x) * self.factor * self.rates[2] + self.options["gain"] + self.shift * self.t
        if self.kind == "plain":
            x = x * getattr(self, "width")  # noqa: B009 - a name in a string
        return self.second(x).clamp(-self.limit, self.limit) * self.weight

    def train_step(self) -> None:
        self.steps += 1
        self.losses.append(float(self.steps))


class Derived(Velocity):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


class Strided(nn.Conv1d):
    """Read by the code of torch that it is derived from."""


class Slotted:
    __slots__ = ("scale", "unset")

    def __init__(self) -> None:
        self.scale = 2.0

    def __call__(self, x: Tensor) -> Tensor:
        return x * self.scale * getattr(self, "unset", 1.0)


class Table:
    """Read by syntax, and not by a name."""

    def __init__(self) -> None:
        self.values = {"a": 1.0}

    def __getitem__(self, key: str) -> float:
        return self.values[key]


class Pair(NamedTuple):
    scale: float
    layers: list[Any]


class Square(torch.autograd.Function):
    power = 2

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x**Square.power


def scaled() -> Any:
    def f(x: Tensor, scale: float = 2.0, *, shift: float = 1.0) -> Tensor:
        return x * scale * f.gain + shift  # type: ignore[attr-defined]

    f.gain = 2.0  # type: ignore[attr-defined]
    return f


def hooked(layer: nn.Module, hook: Callable[..., Any]) -> nn.Module:
    layer.register_forward_hook(hook)
    return layer


@dataclass
class Trainer:
    net: nn.Module
    step: int = 0
    losses: list[float] = field(default_factory=list)
    best: float | None = None

    def fit(self) -> None:
        optimizer = torch.optim.Adam(self.net.parameters())
        for _ in range(3):
            loss = self.net(X).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            self.step += 1
            self.losses.append(loss.item())
            self.best = min(self.losses)


Change = Callable[[Any], object]
# What is changed, and how the change is told.
OF_VELOCITY: list[tuple[str, Change]] = [
    ("`scale` of Velocity", sets(scale=3.0)),
    ("`power` of Velocity", sets(power=2.0)),  # equal, and another type of number
    ("`_limit` of Velocity", sets(_limit=2.0)),
    ("`width` of Velocity", sets(width=3)),
    ("`t` of Velocity", sets(t=torch.ones(4))),
    ("`t` of Velocity", lambda net: delattr(net, "t")),
    ("`act` of Velocity", sets(act=torch.sin)),
    ("`first` of Velocity", sets(first=nn.Linear(4, 4))),
    ("`weight` of Velocity", sets(weight=nn.Parameter(torch.ones(4)))),
    ("`shift` of Velocity", sets(shift=torch.zeros(4))),
    ("the length of `_buffers` of Velocity", lambda net: net.register_buffer("other", torch.zeros(1))),
    ("the length of `_modules` of Sequential", lambda net: net.second.append(nn.Tanh())),
    ("`bias` of Linear", lambda net: sets(bias=None)(net.second[2])),
    ("`p` of Dropout", lambda net: sets(p=0.5)(net.second[1])),
    ("`training` of Dropout", lambda net: net.second[1].eval()),
    ("`training` of Velocity", lambda net: net.eval()),
    ("the length of `_forward_hooks` of Tanh", lambda net: net.second[0].register_forward_hook(print)),
    ("the length of `_forward_pre_hooks` of Tanh", lambda net: net.second[0].register_forward_pre_hook(print)),
    ("`forward` of Tanh", lambda net: sets(forward=torch.sin)(net.second[0])),
    ("the length of `_parameters` of Linear", lambda net: parametrizations.weight_norm(net.second[2])),
    ("`factor` of Velocity", sets(factor=2.0)),
    ("`factor` of Velocity", lambda net: sets(factor=2.0)(Velocity)),
    ("`helped` of Velocity", lambda net: sets(helped=lambda self, x: x)(Velocity)),
    ("the class of a Velocity", lambda net: setattr(net, "__class__", Derived)),
    ("item 2 of `rates` of Velocity", lambda net: net.rates.__setitem__(2, 4.0)),
    ("the length of `rates` of Velocity", lambda net: net.rates.append(4.0)),
    ("item 'gain' of `options` of Velocity", lambda net: net.options.update(gain=2.0)),
    ("item 'gain' of `options` of Velocity", lambda net: net.options.update(bias=net.options.pop("gain"))),
    ("item 0 of item 'layers' of `options` of Velocity", lambda net: sets_item(0, nn.Tanh())(net.options["layers"])),
]
# How a function comes by a Velocity whose `scale` is changed.
WAYS: list[Callable[[Velocity], Callable[..., Any]]] = [
    lambda net: net.helped,
    lambda net: lambda x: net(x),
    lambda net: lambda x, net=net: net(x),
    lambda net: functools.partial(lambda net, x: net(x), net),
    lambda net: functools.partial(lambda x, net: net(x), net=net),
    lambda net: functools.wraps(net.helped)(lambda *x: net.helped(*x)),
    lambda net: functools.lru_cache(lambda x: net(x)),
    lambda net: torch.no_grad()(lambda x: net(x)),
    lambda net: torch.vmap(torch.func.grad(lambda x: net(x).sum())),
    lambda net: torch.compile(net, backend="eager"),
    lambda net: torch.compile(lambda x: net(x), backend="eager"),
    lambda net: nn.Sequential(net, nn.Tanh()),
    lambda net: nn.ModuleDict({"net": net}),
    lambda net: hooked(nn.Tanh(), lambda module, inputs, output: net(output)),
    lambda net: lambda x: [layer(x) for layer in ({"nets": (net,)},)[0]["nets"]],
]
# An object, a function that reads it, what is done to the object, and how that is told.
OTHERS: list[tuple[Callable[[], Any], Callable[[Any], Any], Change, str]] = [
    (Derived, itself, sets(scale=3.0), "`scale` of Derived"),
    (lambda: Strided(4, 4, 1), itself, sets(stride=(2,)), "`stride` of Strided"),
    (Slotted, itself, sets(scale=3.0), "`scale` of Slotted"),
    (Table, lambda t: lambda x: x * t["a"], lambda t: t.values.clear(), "the length of `values` of Table"),
    (lambda: Trainer(Velocity()), lambda t: lambda x: t.net(x), sets(net=None), "`net` of Trainer"),
    (lambda: argparse.Namespace(a=1), lambda args: lambda x: x * args.a, sets(a=2), "`a` of Namespace"),
    (lambda: Square, lambda _: lambda x: Square.apply(x), sets(power=3), "`power` of Square"),
    (dict, lambda d: lambda x: x * len(d), sets_item("a", 1), "the length of `d`, which a lambda closes over"),
    (
        lambda: {(1, 2): 3},
        lambda d: lambda x: d,
        sets_item((1, 2), 4),
        "item (1, 2) of `d`, which a lambda closes over",
    ),
    (lambda: OrderedDict(a=1), lambda d: lambda x: d, sets_item("a", 2), "item 'a' of `d`, which a lambda closes over"),
    (lambda: {"a"}, lambda s: lambda x: s, lambda s: (s.clear(), s.add("b")), "`s`, which a lambda closes over"),
    (lambda: [0] * 999, lambda n: lambda x: n, lambda n: n.pop(), "the length of `n`, which a lambda closes over"),
    (lambda: Pair(1, [2]), lambda p: lambda x: p, lambda p: sets_item(0, 3)(p.layers), f"item 0 of item 1 of {P}"),
    (lambda: Pair(1, [2]), lambda p: lambda x: p, lambda p: p.layers.pop(), f"the length of item 1 of {P}"),
    (lambda: globals(), lambda _: lambda x: x * alpha, sets_item("alpha", 3.0), "the global `alpha`"),
    (lambda: globals(), lambda _: lambda x: [(lambda: alpha)()], sets_item("alpha", 3.0), "the global `alpha`"),
    (lambda: globals(), lambda _: lambda x: gain(x), sets_item("gain", torch.cos), "the global `gain`"),
    (lambda: globals(), lambda _: lambda x: abs(x), sets_item("abs", torch.square), "the global `abs`"),
    (lambda: config, lambda _: lambda x: x * config.alpha, sets(alpha=3.0), "`alpha` of config"),
    (lambda: config.inner, lambda _: lambda x: x * config.inner.beta, sets(beta=4.0), "`beta` of config.inner"),
    (scaled, itself, sets(__defaults__=(3.0,)), "`__defaults__` of f"),
    (scaled, itself, lambda f: f.__kwdefaults__.update(shift=3.0), "item 'shift' of `__kwdefaults__` of f"),
    (scaled, itself, sets(gain=3.0), "`gain` of f"),
    (lambda: lambda x: x, itself, sets(__code__=(lambda x: -x).__code__), "the code of a lambda"),
    (lambda: functools.partial(int, base=2), itself, lambda f: f.keywords.clear(), f"the length of {KEYWORDS}"),
    (lambda: functools.partial(int, base=2), itself, lambda f: f.keywords.update(base=3), f"item 'base' of {KEYWORDS}"),
]
# An object, a function beside it, and what is done to the object that the function does not read.
IGNORED: list[tuple[Callable[[], Any], Callable[[Any], Any], Change]] = [
    (lambda: Trainer(Velocity()), lambda trainer: lambda x: trainer.net(x), lambda trainer: trainer.fit()),
    (lambda: Trainer(Velocity()), lambda trainer: trainer.net, lambda trainer: trainer.fit()),
    (Velocity, itself, lambda net: net.load_state_dict(Velocity().state_dict())),
    (Velocity, itself, lambda net: net.t.mul_(2)),
    (Velocity, itself, lambda net: net.train_step()),
    (Velocity, itself, sets(calls=1, note="new")),
    (Velocity, itself, sets(scale=float("2.0"), kind="".join(["pl", "ain"]))),
    (Velocity, itself, lambda net: net.register_state_dict_post_hook(lambda *_: None)),
    (lambda: nn.BatchNorm1d(4), itself, lambda norm: norm(X)),
    (lambda: torch.ones(4), lambda t: lambda x: x * t, lambda t: t.zero_()),
    (lambda: globals(), lambda _: lambda x: x * alpha, sets_item("unrelated", 3.0)),
    (lambda: config, lambda _: lambda x: x * config.alpha, sets(other=3.0)),
    # A name that is an attribute of torch here, and of the object by chance.
    (lambda: argparse.Namespace(log=1, a=1), lambda args: lambda x: torch.log(args.a), sets(log=2)),
    (lambda: argparse.Namespace(a=(NAN, 1.5, X)), lambda args: lambda x: args.a, sets(a=(float("nan"), 1.5, X))),
]


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
