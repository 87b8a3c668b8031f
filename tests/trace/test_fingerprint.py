"""A tape serves again where the function is the same, and never where it is not."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jacstrat import PROBLEMS, UnsupportedError, laplacian
from jacstrat.trace.cache import SHARED
from tests.trace.changes import OPAQUE, UNDERSTOOD, Block, X, is_traced, scalar, with_block

pytestmark = pytest.mark.long(but_one_in=2)


def agrees(f: Callable[[Tensor], Tensor]) -> None:
    torch.testing.assert_close(laplacian(f, X, "taylor"), laplacian(f, X, "vmap"))


@pytest.mark.usefixtures("_put_back")
@pytest.mark.parametrize("name", UNDERSTOOD)
def test_a_tape_serves_until_something_changes(name: str) -> None:
    f, change = UNDERSTOOD[name]()
    before = laplacian(f, X, "taylor")
    assert is_traced(f, X)
    change()
    assert name in ("written tensor", "literal of a tensor", "parameter written") or not is_traced(f, X)
    after = laplacian(f, X, "taylor")
    assert not torch.allclose(before, after)
    agrees(f)


@pytest.mark.usefixtures("_put_back")
@pytest.mark.parametrize("name", OPAQUE)
def test_what_is_not_understood_is_recorded_anew(name: str) -> None:
    f, change = OPAQUE[name]()
    agrees(f)
    assert name == "hook" or not is_traced(f, X)
    change()
    agrees(f)
    assert not is_traced(f, X)


def test_a_function_that_changes_itself_is_recorded_anew() -> None:
    class Flip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.on = False

        def forward(self, x: Tensor) -> Tensor:
            self.on = not self.on
            return x.sin().sum(-1) if self.on else x.exp().sum(-1)

    net = Flip()
    with suppress(UnsupportedError):  # the witness may be asked when it is the other function
        laplacian(net, X, "taylor")
    assert not is_traced(net, X)

    kept: list[Tensor] = []

    def lazy(x: Tensor) -> Tensor:
        if not kept:
            kept.append(2 * torch.ones(4, dtype=x.dtype))
        return (kept[0] * x**2).sum(-1)

    for traced in (False, True):
        scalar(lazy, X).tape(X)
        assert is_traced(lazy, X) is traced
    # What is asked for its shape before it is recorded is the same from then on.
    SHARED.forget()
    kept.clear()
    for _ in range(2):
        torch.testing.assert_close(laplacian(lazy, X, "taylor"), torch.full((3,), 16.0, dtype=torch.float64))
        assert is_traced(lazy, X)


def test_switches_of_torch(monkeypatch) -> None:
    def f(x: Tensor) -> Tensor:
        return (x * torch.ones(4) * x).sum(-1)

    laplacian(f, X, "taylor")
    assert is_traced(f, X)
    with torch.autocast("cpu"):
        assert not is_traced(f, X)
    with torch.device("cpu"):
        assert not is_traced(f, X)
    remove = nn.modules.module.register_module_forward_hook(lambda module, args, out: out)
    assert not is_traced(f, X)
    remove.remove()
    monkeypatch.setattr(torch, "ones", torch.zeros)
    assert not is_traced(f, X)
    monkeypatch.undo()
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: x)
    assert is_traced(f, X)

    def g(x: Tensor) -> Tensor:
        return nn.functional.softplus(x).sum(-1)

    laplacian(g, X, "taylor")
    assert is_traced(g, X)
    monkeypatch.setattr(nn.functional, "softplus", lambda x: x.sin())
    assert not is_traced(g, X)


def test_a_patched_class_is_another_one(monkeypatch) -> None:
    f, _ = with_block(lambda block: None)()
    for kind, name in ((nn.Linear, "forward"), (Block, "extra"), (Block, "factor")):
        scalar(f, X).tape(X)
        assert is_traced(f, X)
        value = 0.5 if name == "factor" else lambda self, x: x.exp()
        monkeypatch.setattr(kind, name, value)
        assert not is_traced(f, X)


def test_every_scalar_of_the_library_is_understood(monkeypatch) -> None:
    for problem in PROBLEMS.values():
        if problem.kind == "scalar":
            n = next(n for n in (6, 2, 9) if problem.refuse(n) is None)
            instance = problem.instance(n, 2)
            laplacian(instance.f, instance.x, "taylor", args=instance.args)
            with monkeypatch.context() as patch:
                patch.setattr("jacstrat.trace.cache.record", None)
                laplacian(instance.f, instance.x, "taylor", args=instance.args)


def test_methods_that_are_not_called_are_no_part_of_it() -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.made = np.zeros(1).sum() + random.random()  # what nobody understands

        def forward(self, x: Tensor) -> Tensor:
            return self.scaled(x).sum(-1)

        def scaled(self, x: Tensor) -> Tensor:
            return x.sin() * 2

        def save(self, name: str) -> None:
            import json

            print(name, json)

    layer = Layer().double()
    layer.made = 1.0
    scalar(layer, X).tape(X)
    assert is_traced(layer, X)
    Layer.scaled = lambda self, x: x.cos()  # type: ignore[method-assign]
    assert not is_traced(layer, X)
