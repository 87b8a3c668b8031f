"""What serves direct calls is bounded, in number and in bytes, and keeps no function alive."""

from __future__ import annotations

import gc
import weakref

import pytest
from torch import nn

from jacstrat import divergence
from jacstrat.strategies import entries
from jacstrat.strategies.entries import TABLE
from tests.strategies.makers import D, X


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "MOST_ENTRIES", 3)
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
