"""Rates of devices: measured once by a clock that is told, kept, and what is predicted from them."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch

from jacstrat.core.modelled import ModelledDevice, modelling
from jacstrat.strategies.auto import candidates, disk_cache, rates
from jacstrat.strategies.auto.candidates import HOST_OP_S, KERNEL_S, Candidate
from jacstrat.strategies.auto.counting import OpCounts, ProductCost
from jacstrat.strategies.auto.rates import (
    ACCELERATOR,
    CPU_THREAD,
    LAUNCHES,
    NUMBERS,
    PRODUCT_N,
    Bench,
    Rates,
    measured,
    rates_of,
)
from jacstrat.strategies.probing import Vmap
from jacstrat.strategies.workload import Workload

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
FOUND = Rates(flops=5e13, bytes=1e12, launch_s=8e-6, sync_s=5e-6)


class Device:
    """A device whose time is told: the host launches, the device works, and who waits waits for it."""

    LAUNCH_S, SYNC_S, PRODUCT_S, SUM_S = 1e-5, 2e-6, 4e-3, 2e-4

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = self.free_s = 0.0
        mm, add = torch.mm, torch.add
        small = torch.Tensor.add_
        monkeypatch.setattr(rates, "PRODUCT_N", 4)
        monkeypatch.setattr(rates, "NUMBERS", 8)
        monkeypatch.setattr(torch, "mm", lambda *args, **kwargs: self.work(self.PRODUCT_S) or mm(*args, **kwargs))
        monkeypatch.setattr(torch, "add", lambda *args, **kwargs: self.work(self.SUM_S) or add(*args, **kwargs))
        monkeypatch.setattr(torch.Tensor, "add_", lambda *args: self.work(1e-6) or small(*args))

    def work(self, seconds: float) -> None:
        self.now_s += self.LAUNCH_S
        self.free_s = max(self.free_s, self.now_s) + seconds

    def synchronize(self) -> None:
        self.now_s = max(self.now_s, self.free_s) + self.SYNC_S


@pytest.fixture(autouse=True)
def _none_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "_KNOWN", {})


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> list[Bench]:
    """A device of that name, whose measurements are counted."""
    benches: list[Bench] = []
    monkeypatch.setattr(torch, "get_device_module", lambda device: SimpleNamespace(get_device_name=lambda d: "a card"))
    monkeypatch.setattr(rates, "measured", lambda bench: benches.append(bench) or FOUND)
    return benches


def test_a_cpu_has_those_that_were_fitted() -> None:
    torch.set_num_threads(1)
    assert rates_of(CPU) == rates_of(torch.device("meta")) == CPU_THREAD
    assert rates_of(CPU).launch_s == 0


def test_four_rates_are_measured_within_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch)
    found = measured(Bench(CPU, device.synchronize, lambda: device.now_s))
    assert found.sync_s == pytest.approx(device.SYNC_S)
    assert found.launch_s == pytest.approx(device.LAUNCH_S)
    # A launch, and the device; the synchronisation is taken off.
    assert found.flops == pytest.approx(2 * 4**3 / (device.LAUNCH_S + device.PRODUCT_S))
    assert found.bytes == pytest.approx(8 * 4 / (device.LAUNCH_S + device.SUM_S))
    assert device.now_s < 1
    assert (PRODUCT_N, NUMBERS, LAUNCHES) == (2048, 2**24, 200)


def test_they_are_measured_once_kept_and_said(cuda: list[Bench], capsys: pytest.CaptureFixture[str]) -> None:
    assert rates_of(CUDA) == rates_of(CUDA) == FOUND
    assert [bench.device for bench in cuda] == [CUDA]
    said = capsys.readouterr().err
    assert said.startswith("jacstrat: measured a card in 0.0 s: 50 TFLOP/s, 1e+03 GB/s written, 8 us a launch, 5 us a ")
    assert said.count("\n") == 1
    rates._KNOWN.clear()  # another process
    assert rates_of(CUDA) == FOUND
    assert len(cuda) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("change", ["off", "torch", "host", "broken", "foreign", "words"])
def test_elsewhere_they_are_measured_again(cuda: list[Bench], monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    if change == "off":
        monkeypatch.setenv("JACSTRAT_CACHE", "off")
    rates_of(CUDA)
    rates._KNOWN.clear()
    if change == "torch":
        monkeypatch.setattr(torch, "__version__", "0.0")
    elif change == "host":
        monkeypatch.setattr(disk_cache, "processor", lambda: "another")
    elif change in ("broken", "foreign", "words"):
        (file,) = disk_cache.folder().iterdir()
        words = json.dumps(dict.fromkeys(rates.Rates._fields, "many"))
        file.write_text({"broken": "{", "foreign": '{"strategy": "vmap"}', "words": words}[change])
    assert rates_of(CUDA) == FOUND
    assert len(cuda) == 2


def test_a_device_that_cannot_be_measured_has_a_guess(cuda: list[Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(bench: Bench) -> Rates:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(rates, "measured", failing)
    assert rates_of(CUDA) == ACCELERATOR
    assert list(disk_cache.folder().glob("rates-*")) == []


def test_a_device_that_is_modelled_without_data_has_it_too(cuda: list[Bench]) -> None:
    meta = torch.device("meta")
    assert rates_of(meta) == rates_of(CPU)
    with modelling(ModelledDevice("cuda")):
        assert rates_of(meta) == ACCELERATOR
    assert cuda == []


@pytest.mark.parametrize(("op_s", "call_s"), [(12e-6, 0.0), (0.0, 24e-6)])
def test_a_device_works_while_the_host_launches(monkeypatch: pytest.MonkeyPatch, op_s: float, call_s: float) -> None:
    x = torch.zeros(10, 3)
    cost = ProductCost(OpCounts(), OpCounts(100, 1e7, 1e6), OpCounts())
    one = Candidate(Vmap(), cost, 3, 3, op_s, call_s=call_s)
    assert one.seconds(x) == pytest.approx(call_s + 100 * op_s + 1e8 / 30e9 + 1e7 / 4e9)
    monkeypatch.setattr(candidates, "rates_of", lambda device: FOUND)
    host_s, device_s = 100 * op_s * 8e-6 / HOST_OP_S, 100 * KERNEL_S + 1e8 / 5e13 + 1e7 / 1e12
    assert one.seconds(x) == pytest.approx(call_s + max(host_s, device_s))


def test_a_trial_on_a_device_goes_by_its_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    times = iter((10.0, 12.5))

    class Event:
        def __init__(self, device: torch.device, enable_timing: bool) -> None:
            self.at = next(times)

        def record(self, stream: object) -> None:
            log.append("record")

        def elapsed_time(self, end: Event) -> float:
            return end.at - self.at

    monkeypatch.setattr(torch, "Event", Event)
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda device: log.append("synchronize"))
    monkeypatch.setattr(torch.accelerator, "current_stream", lambda device: None)
    workload = Workload(torch.zeros(2, 3, device="meta"), (), ())
    assert workload.call(lambda x: log.append("call") or x) == 2.5e-3
    assert log == ["synchronize", "record", "call", "record", "synchronize"]
    # Without a clock of its own the caller's counts, and the call is ended all the same.
    monkeypatch.setattr(torch, "Event", lambda *args, **kwargs: (_ for _ in ()).throw(RuntimeError()))
    assert workload.call(lambda x: x) is None
    assert log[-1] == "synchronize"
    assert Workload(torch.zeros(2, 3), (), ()).call(torch.sin) is None
