"""Tapes of equal functions are shared, by shape, dtype and switches of torch, and keep nothing alive."""

from __future__ import annotations

import gc
import weakref

import torch
from torch import Tensor, nn

from jacstrat import laplacian
from jacstrat.strategies.entries import TABLE
from jacstrat.trace import cache
from jacstrat.trace.cache import SHARED
from tests.trace.changes import X, is_traced


def test_equal_functions_share_a_tape_and_others_of_the_same_code_do_not(monkeypatch) -> None:
    recorded = []
    original = cache.record
    monkeypatch.setattr(cache, "record", lambda *args: recorded.append(1) or original(*args))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        nets = [nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1)).double() for _ in range(2)]
    for _ in range(3):
        for net in nets:
            found = laplacian(lambda x, net=net: net(x).squeeze(-1), X, "taylor")
            torch.testing.assert_close(found, laplacian(lambda x, net=net: net(x).squeeze(-1), X, "vmap"))
    assert len(recorded) == 2
    laplacian(lambda x: nets[0](x).squeeze(-1), X[:2], "taylor")
    assert len(recorded) == 3


def test_what_is_prepared_for_other_points_or_another_dtype_is_recorded() -> None:
    def f(x: Tensor) -> Tensor:
        return x.sin().sum(-1)

    laplacian(f, X, "taylor")
    assert is_traced(f, X + 1)
    assert not is_traced(f, X[:2])
    assert not is_traced(f, X.float())


def test_nothing_is_entries_alive() -> None:
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    W = torch.ones(4, dtype=torch.float64)
    gone = [weakref.ref(net), weakref.ref(net[0].weight), weakref.ref(W)]

    def use(net: nn.Module, W: Tensor) -> None:
        laplacian(lambda x: net(W * x).squeeze(-1), X, "taylor")

    use(net, W)
    assert len(SHARED._entries) == 1
    del net, W
    TABLE.forget()
    gc.collect()
    assert [reference() for reference in gone] == [None] * 3
