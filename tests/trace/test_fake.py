"""Fake tensors, and what torch remembers of them."""

from __future__ import annotations

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from jacstrat.trace import fake
from jacstrat.trace.fake import fake_mode


def test_what_torch_remembers_is_bounded(monkeypatch):
    monkeypatch.setattr(fake, "MOST", 20)
    sizes = []
    for k in range(100):
        with fake_mode():
            torch.ones(3) * (2.5 + k)
        sizes.append(len(FakeTensorMode.cache))
    assert max(sizes) <= 30
    assert min(sizes[20:]) < 20  # it was dropped, and not merely unused


def test_what_is_remembered_serves_as_long_as_there_is_room():
    FakeTensorMode.cache_clear()
    for _ in range(3):
        with fake_mode():
            torch.ones(3) * 2.5
    assert FakeTensorMode.cache_info().hits > 0
