"""Rates of a device, by a clock that the test tells."""

from __future__ import annotations

import pytest
import torch

from jacstrat.measure import roofline
from jacstrat.measure.clocks import Timing
from jacstrat.measure.roofline import BLOCKS, Peaks, measured_peaks


class Told:
    """A clock on which products take 2 ms and copies 5 ms a call; the first block of each is slow."""

    def __init__(self, product_s: float = 2e-3, copy_s: float = 5e-3) -> None:
        self.seconds = [product_s, copy_s]
        self.works: list[object] = []
        self.blocks: list[int] = []

    def time(self, work, calls: int) -> Timing:
        work()
        if work not in self.works:
            self.works.append(work)
            return Timing(1.0, 1.0)
        self.blocks.append(calls)
        each = self.seconds[len(self.works) - 1]
        return Timing(calls * each * (1 + len(self.blocks) % 2), 0.0)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "CPU_N", 16)
    monkeypatch.setattr(roofline, "CPU_BYTES", 2**10)


def test_rates_are_those_of_the_fastest_product_and_copy() -> None:
    clock, beats = Told(), []
    found = measured_peaks(clock, "cpu", torch.float64, lambda: beats.append(1))
    assert found == Peaks(pytest.approx(2 * 16**3 / 2e-3), pytest.approx(2 * 2**10 / 5e-3))
    assert clock.blocks == [1] * 2 * BLOCKS
    assert len(beats) == 2 * (1 + BLOCKS)


def test_a_clock_that_does_not_move_tells_no_rates() -> None:
    assert measured_peaks(Told(0.0, 0.0), "cpu", torch.float32) is None


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("none"), RuntimeError("[enforce] can't allocate memory: 9")]
)
def test_without_memory_there_are_no_rates(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch, "ones", full)
    assert measured_peaks(Told(), "cpu", torch.float64) is None


def test_another_error_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("an illegal memory access")

    monkeypatch.setattr(torch, "mm", broken)
    with pytest.raises(RuntimeError, match="an illegal memory access"):
        measured_peaks(Told(), "cpu", torch.float64)


def test_the_light_is_the_longer_of_computing_and_moving() -> None:
    peaks = Peaks(flops_per_s=1e12, bytes_per_s=1e11)
    assert (peaks.compute_s(2e12), peaks.memory_s(1e11)) == (2.0, 1.0)
    assert (peaks.light_s(2e12, 1e11), peaks.light_s(1e11, 1e11)) == (2.0, 1.0)
