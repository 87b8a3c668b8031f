"""Rates of the accelerator here, and a trial by its clock."""

from __future__ import annotations

import time
from functools import partial

import pytest
import torch

from jacstrat.strategies.auto import rates
from jacstrat.strategies.auto.rates import Bench, measured, rates_of
from jacstrat.strategies.workload import Workload

pytestmark = pytest.mark.gpu


def test_they_are_those_of_an_accelerator_and_take_a_second_at_most(device: str) -> None:
    place = torch.device(device)
    torch.mm(torch.ones(2, 2, device=place), torch.ones(2, 2, device=place))  # libraries start
    torch.accelerator.synchronize(place)
    begin = time.perf_counter()
    found = measured(Bench(place, partial(torch.accelerator.synchronize, place)))
    assert time.perf_counter() - begin < 1
    assert 1e11 < found.flops < 1e16
    assert 1e9 < found.bytes < 1e14
    assert 1e-7 < found.launch_s < 1e-3
    assert 1e-8 < found.sync_s < 1e-2


def test_they_are_found_again(device: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    place = torch.device(device)
    monkeypatch.setattr(rates, "_KNOWN", {})
    first = rates_of(place)
    assert capsys.readouterr().err.startswith("jacstrat: measured ")
    rates._KNOWN.clear()
    assert rates_of(place) == first
    assert capsys.readouterr().err == ""


def test_a_call_of_a_workload_is_timed_by_the_device(device: str) -> None:
    if device == "mps":
        pytest.skip("events of Metal may have no time")
    x = torch.randn(2048, 2048, device=device)
    workload = Workload(x, (), ())

    def work(x: torch.Tensor) -> torch.Tensor:
        for _ in range(20):
            x = x @ x
        return x

    workload.call(work)
    begin = time.perf_counter()
    seconds = workload.call(work)
    assert seconds is not None
    assert 0 < seconds < time.perf_counter() - begin
