"""Functions as people write them, each with a change of what it reads, and the name of that."""

from __future__ import annotations

import argparse
import array
import contextvars
import functools
import os
import sys
import threading
import types
from collections import ChainMap, OrderedDict, UserDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

NAN = float("nan")
P = "`p`, which a lambda closes over"
D = "`d`, which a lambda closes over"
KEYWORDS = "`keywords` of a partial"
NAME, ENVIRONMENT = "alpha", "`JACOBI` of the environment"
X = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))

alpha = 2.0
gain: Any = torch.sin
unrelated = 1.0
config: Any = types.ModuleType("config")
config.alpha = 2.0
config.other = 2.0
config.inner = types.ModuleType("config.inner")
config.inner.beta = 3.0


def imports(x: Tensor) -> Any:
    import config

    return x * config.alpha


def imports_from(x: Tensor) -> Any:
    from config import alpha

    return x * alpha


@contextmanager
def all_is_put_back() -> Iterator[None]:
    owners: list[Any] = [config, config.inner, Velocity, Square]
    scope, before = dict(globals()), [dict(vars(owner)) for owner in owners]
    sys.modules["config"] = config
    with mock.patch.dict(os.environ):
        yield
    del sys.modules["config"]
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


def local() -> threading.local:
    found = threading.local()
    found.a = 1.0
    return found


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
    (
        lambda: deque([1.0]),
        lambda d: lambda x: x * d[0],
        sets_item(0, 2.0),
        "the items of `d`, which a lambda closes over",
    ),
    (lambda: array.array("d", [1.0]), lambda p: lambda x: x * p[0], sets_item(0, 2.0), P),
    (lambda: bytearray(b"a"), lambda p: lambda x: x * p[0], sets_item(0, 2), P),
    (lambda: np.ones(3), lambda p: lambda x: x * p[0], sets_item(0, 2.0), P),
    (lambda: UserDict(a=1.0), lambda d: lambda x: x * d["a"], sets_item("a", 2.0), "item 'a' of `data` of UserDict"),
    (
        lambda: ChainMap({"a": 1.0}),
        lambda d: lambda x: d["a"],
        sets_item("a", 2.0),
        "item 'a' of item 0 of `maps` of ChainMap",
    ),
    (
        lambda: {torch.sin: 1.0},
        lambda d: lambda x: x * d[torch.sin],
        sets_item(torch.sin, 2.0),
        "the items of `d`, which a lambda closes over",
    ),
    (
        lambda: {"a": 1.0},
        lambda d: (lambda view: lambda x: x * view["a"])(types.MappingProxyType(d)),
        sets_item("a", 2.0),
        "the items of `view`, which a lambda closes over",
    ),
    (lambda: types.SimpleNamespace(a=1.0), lambda o: lambda x: x * o.a, sets(a=2.0), "`a` of SimpleNamespace"),
    (local, lambda o: lambda x: x * o.a, sets(a=2.0), "`a` of _local"),
    (
        lambda: contextvars.ContextVar("a", default=1.0),
        lambda v: lambda x: x * v.get(),
        lambda v: v.set(2.0),
        "the value of a ContextVar",
    ),
    (lambda: [0] * 999, lambda n: lambda x: n, lambda n: n.pop(), "the length of `n`, which a lambda closes over"),
    (lambda: Pair(1, [2]), lambda p: lambda x: p, lambda p: sets_item(0, 3)(p.layers), f"item 0 of item 1 of {P}"),
    (lambda: Pair(1, [2]), lambda p: lambda x: p, lambda p: p.layers.pop(), f"the length of item 1 of {P}"),
    (lambda: globals(), lambda _: lambda x: x * alpha, sets_item("alpha", 3.0), "the global `alpha`"),
    (lambda: globals(), lambda _: lambda x: [(lambda: alpha)()], sets_item("alpha", 3.0), "the global `alpha`"),
    (lambda: globals(), lambda _: lambda x: gain(x), sets_item("gain", torch.cos), "the global `gain`"),
    (lambda: globals(), lambda _: lambda x: abs(x), sets_item("abs", torch.square), "the global `abs`"),
    (lambda: config, lambda _: lambda x: x * config.alpha, sets(alpha=3.0), "`alpha` of config"),
    (lambda: config.inner, lambda _: lambda x: x * config.inner.beta, sets(beta=4.0), "`beta` of config.inner"),
    (lambda: globals(), lambda _: lambda x: x * globals()["alpha"], sets_item("alpha", 3.0), "the global `alpha`"),
    (lambda: globals(), lambda _: lambda x: x * globals().get("alpha"), sets_item("alpha", 3.0), "the global `alpha`"),
    (
        lambda: globals(),
        lambda _: lambda x: x * globals()["".join(["al", "pha"])],
        sets_item("alpha", 3.0),
        "the global `alpha`",
    ),
    (lambda: config, lambda _: imports, sets(alpha=3.0), "`alpha` of config"),
    (lambda: config, lambda _: imports_from, sets(alpha=3.0), "`alpha` of config"),
    (lambda: config, lambda _: lambda x: x * sys.modules["config"].alpha, sets(alpha=3.0), "`alpha` of config"),
    (lambda: os.environ, lambda _: lambda x: os.environ.get("JACOBI"), sets_item("JACOBI", "a"), ENVIRONMENT),
    (lambda: os.environ, lambda _: lambda x: os.getenv("JACOBI", "b"), sets_item("JACOBI", "a"), ENVIRONMENT),
    (lambda: {"a": 1, "b": 2}, lambda d: lambda x: [*d], lambda d: sets_item("a", d.pop("a"))(d), f"the order of {D}"),
    (lambda: OrderedDict(a=1, b=2), lambda d: lambda x: [*d], lambda d: d.move_to_end("a"), f"the order of {D}"),
    (
        lambda: nn.Sequential(nn.Tanh(), nn.Softplus()),
        itself,
        lambda net: sets_item("0", net._modules.pop("0"))(net._modules),
        "the order of `_modules` of Sequential",
    ),
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
    (lambda: globals(), lambda _: lambda x: x * globals()["alpha"], sets_item("unrelated", 3.0)),
    (lambda: os.environ, lambda _: lambda x: os.environ.get("JACOBI"), sets_item("UNRELATED", "a")),
    (lambda: config, lambda _: imports, sets(other=3.0)),
    (lambda: config, lambda _: lambda x: x * config.alpha, sets(other=3.0)),
    # A name that is an attribute of torch here, and of the object by chance.
    (lambda: argparse.Namespace(log=1, a=1), lambda args: lambda x: torch.log(args.a), sets(log=2)),
    (lambda: argparse.Namespace(a=(NAN, 1.5, X)), lambda args: lambda x: args.a, sets(a=(float("nan"), 1.5, X))),
]
