"""The devices that torch computes on: what is asked of torch, and what flushes a cache."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from jacstrat.measure import torch_device
from jacstrat.measure.clocks import COLD
from jacstrat.measure.torch_device import FLUSH_BYTES, TorchDevice, burden, clock_for, flush_bytes, waste


def test_the_flush_of_the_host_writes_twice_its_last_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_device, "last_cache_bytes", lambda: 4096)
    waste.cache_clear()
    try:
        clock_for("cpu", COLD).time(lambda: None, 1)
        assert waste(torch.device("cpu")).numel() == 8192
        monkeypatch.setattr(torch_device, "last_cache_bytes", lambda: None)
        assert flush_bytes(torch.device("cpu")) == FLUSH_BYTES
    finally:
        waste.cache_clear()


@pytest.fixture
def torch_module(monkeypatch: pytest.MonkeyPatch):
    """Lets `flush_bytes` ask a module with the given properties, of a torch for CUDA or ROCm."""

    def set_module(hip: str | None = None, **properties: int) -> None:
        module = SimpleNamespace(get_device_properties=lambda device: SimpleNamespace(**properties))
        monkeypatch.setattr(torch, "get_device_module", lambda device: module)
        monkeypatch.setattr(torch.version, "hip", hip)

    return set_module


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"L2_cache_size": 50 * 2**20}, 100 * 2**20),
        ({"last_level_cache_size": 200 * 2**20}, 400 * 2**20),
        ({"L2_cache_size": 0}, FLUSH_BYTES),
        ({}, FLUSH_BYTES),
        ({"L2_cache_size": 4 * 2**20, "hip": "6.4"}, FLUSH_BYTES),
    ],
)
def test_the_flush_writes_twice_the_cache_that_torch_tells(torch_module, told: dict, expected: int) -> None:
    torch_module(**told)
    assert flush_bytes(torch.device("cuda")) == expected


def test_a_device_without_properties_gets_the_largest_flush() -> None:
    assert flush_bytes(torch.device("mps", 0)) == FLUSH_BYTES


def test_the_buffer_of_the_flush_is_one_a_process(torch_module) -> None:
    torch_module(L2_cache_size=1024)
    waste.cache_clear()
    try:
        buffer = waste(torch.device("meta"))
        assert (buffer.numel(), buffer.dtype) == (2048, torch.uint8)
        assert waste(torch.device("meta")) is buffer
    finally:
        waste.cache_clear()


class FakeTorch:
    """What TorchDevice asks of torch.accelerator and torch.Event, every call written down."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[tuple] = []
        accelerator = torch.accelerator
        monkeypatch.setattr(accelerator, "current_device_index", lambda: 3)
        monkeypatch.setattr(accelerator, "current_stream", lambda device: f"stream of {device}")
        monkeypatch.setattr(accelerator, "synchronize", lambda device: self.log.append(("synchronize", str(device))))
        monkeypatch.setattr(torch, "Event", self.event)
        monkeypatch.setattr(torch_device, "waste", self.waste)
        monkeypatch.setattr(torch_device, "burden", lambda device: (f"factor on {device}", f"result on {device}"))
        monkeypatch.setattr(torch, "mm", lambda a, b, out: self.log.append(("product", a, b, out)))
        self.elapsed: float | Exception = 2.5

    def event(self, device: torch.device, enable_timing: bool) -> SimpleNamespace:
        def elapsed_time(other: object) -> float:
            if isinstance(self.elapsed, Exception):
                raise self.elapsed
            return self.elapsed

        self.log.append(("event", str(device), enable_timing))
        return SimpleNamespace(
            record=lambda stream: self.log.append(("record", stream)), elapsed_time=elapsed_time, query=lambda: True
        )

    def waste(self, device: torch.device) -> SimpleNamespace:
        return SimpleNamespace(zero_=lambda: self.log.append(("zero", str(device))))


def test_torch_is_asked_for_the_device_of_the_cell_and_its_current_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTorch(monkeypatch)
    for name, pinned in (("cuda:1", "cuda:1"), ("xpu", "xpu:3")):
        fake.log.clear()
        device = TorchDevice(name)
        begin, end = device.event(), device.event()
        device.flush()
        device.synchronize()
        device.record(begin)
        assert device.passed(begin)
        assert device.elapsed_s(begin, end) == 0.0025
        assert fake.log == [
            ("event", pinned, True),
            ("event", pinned, True),
            ("zero", pinned),
            ("synchronize", pinned),
            ("record", f"stream of {pinned}"),
        ]
        fake.log.clear()
        device.hold()
        assert fake.log == [("product", f"factor on {pinned}", f"factor on {pinned}", f"result on {pinned}")]


def test_what_holds_a_device_is_made_once_a_process() -> None:
    burden.cache_clear()
    factor, result = burden(torch.device("meta"))
    assert factor.shape == result.shape == (torch_device.HOLD_N, torch_device.HOLD_N)
    assert burden(torch.device("meta"))[0] is factor


def test_metal_stamps_that_are_swapped_count_as_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTorch(monkeypatch)
    device = TorchDevice("mps")
    event = device.event()
    fake.elapsed = RuntimeError("End event 2 was not recorded after start event 1")
    assert device.elapsed_s(event, event) == 0
    fake.elapsed = RuntimeError("the device is lost")
    with pytest.raises(RuntimeError, match="the device is lost"):
        device.elapsed_s(event, event)
