"""Peak memory: the storage that dispatch sees, or the peak of an allocator that the test stands in for."""

from __future__ import annotations

import pytest
import torch

from jacstrat.measure.memory import peak_bytes


class Allocator:
    """torch.accelerator's statistics, of work that says what it takes; every question is written down.

    Work takes `kept` bytes at its first call, as libraries do for a workspace, and holds `held` within each.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kept: int, held: int) -> None:
        self.log: list[str] = []
        self.kept, self.held, self.now, self.peak = kept, held, 100, 100
        for name in ("synchronize", "reset_peak_memory_stats", "memory_allocated", "max_memory_allocated"):
            monkeypatch.setattr(torch.accelerator, name, getattr(self, name))

    def work(self) -> None:
        self.log.append("work")
        self.now, self.kept = self.now + self.kept, 0
        self.peak = max(self.peak, self.now + self.held)

    def synchronize(self) -> None:
        self.log.append("synchronize")

    def reset_peak_memory_stats(self) -> None:
        self.log.append("reset")
        self.peak = self.now

    def memory_allocated(self) -> int:
        return self.now

    def max_memory_allocated(self) -> int:
        return self.peak


def test_a_peak_of_the_allocator_has_what_a_call_takes_and_not_what_libraries_keep(monkeypatch) -> None:
    allocator = Allocator(monkeypatch, kept=2**23, held=4096)
    assert peak_bytes(allocator.work, "cuda") == 4096
    assert allocator.log == ["work", "synchronize", "reset", "work", "synchronize"]


def test_on_the_cpu_the_inside_of_an_operation_is_not_seen() -> None:
    x = torch.ones(1000)
    assert peak_bytes(lambda: x * x, "cpu") == 4000
    assert peak_bytes(lambda: (x * x) + x, "cpu") == 8000
    # A sum of bytes adds up in 64 bits, of which a device makes a copy.
    assert peak_bytes(lambda: torch.ones(1000, dtype=torch.uint8).sum(), "cpu") < 2000
