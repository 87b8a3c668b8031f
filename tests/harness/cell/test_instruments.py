"""What a cell is measured with, on a fake clock and a fake card."""

from __future__ import annotations

import time
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from jacstrat.harness.cell import instruments
from jacstrat.harness.cell.instruments import Instruments, instruments_for
from jacstrat.harness.cell.measuring import measure
from jacstrat.measure.card import DeviceState, throttled
from jacstrat.measure.host_clock import HostClock
from jacstrat.measure.nvml import TelemetryError
from tests.harness.conftest import QUICK
from tests.measure.fakes import FakeCard, FakeClock


def test_a_card_tells_energy_and_what_spoils_a_sample() -> None:
    clock = FakeClock()
    card = FakeCard(clock, power_w=250.0)
    measured = Instruments(clock, card, energy=True)
    assert throttled(measured.look()) == ()
    assert measured.energy_j(clock.work(1e-3), 1e-3) == pytest.approx(0.25)
    card.state = lambda: DeviceState(reasons=("idle", "hw_thermal_slowdown"))
    assert throttled(measured.look()) == ("hw_thermal_slowdown",)


def test_energy_is_taken_where_it_is_asked_for_alone() -> None:
    clock = FakeClock()
    card = FakeCard(clock, power_w=250.0)
    assert Instruments(clock, card).energy_j(clock.work(1e-3), 1e-3) is None
    assert clock.now_s == FakeClock().now_s


def test_without_a_card_nothing_is_spoiled_and_no_energy_told() -> None:
    with instruments_for("cpu") as measured:
        assert isinstance(measured.clock, HostClock)
        assert (measured.card, measured.look(), measured.energy_j(lambda: None, 1.0)) == (None, None, None)
        measured.rest(DeviceState(reasons=("hw_slowdown",)), lambda: pytest.fail("nobody to rest"))


def test_each_cache_has_a_clock_the_first_for_the_numbers() -> None:
    with instruments_for("cpu", ("cold", "warm")) as measured:
        assert (measured.clock.cache, {name: clock.cache for name, clock in measured.beside.items()}) == (
            "cold",
            {"warm": "warm"},
        )


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A CUDA device 2 whose card is opened by what the test puts into `open`."""
    told = SimpleNamespace(open=None)
    monkeypatch.setattr(instruments, "clock_for", lambda device, cache: FakeClock())
    monkeypatch.setattr(torch.accelerator, "current_device_index", lambda: 2)
    monkeypatch.setattr(instruments.Telemetry, "open", lambda index: told.open(index))
    return told


@pytest.mark.parametrize(("device", "index"), [("cuda", 2), ("cuda:1", 1)])
def test_the_card_of_the_device_is_opened_and_closed(cuda: SimpleNamespace, device: str, index: int) -> None:
    log: list[object] = []

    class Card(FakeCard):
        def __enter__(self):
            return self

        def __exit__(self, *_: object) -> None:
            log.append("closed")

    cuda.open = lambda number: log.append(number) or Card(FakeClock())
    with instruments_for(device) as measured:
        assert log == [index]
        assert isinstance(measured.card, Card)
    assert log == [index, "closed"]


def test_a_driver_that_does_not_serve_leaves_the_clock(cuda: SimpleNamespace) -> None:
    def refuses(index: int) -> None:
        raise TelemetryError("the driver does not serve")

    cuda.open = refuses
    with instruments_for("cuda") as measured:
        assert measured.card is None


def test_a_row_has_the_energy_of_a_call_and_says_that_it_was_throttled(cell, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now_s=0.0)

    class Card(FakeCard):
        def __init__(self) -> None:
            super().__init__(clock, power_w=100.0)

        def energy_j(self) -> float | None:
            clock.now_s = time.perf_counter()
            return super().energy_j()

        def state(self) -> DeviceState:
            return DeviceState(reasons=("hw_slowdown",))

    monkeypatch.setattr(
        "jacstrat.harness.cell.cell_context.instruments_for",
        lambda device, caches, energy: nullcontext(Instruments(HostClock(), Card(), energy=energy)),
    )
    (without,) = (outcome.record for outcome in measure(cell("sin", "vmap"), QUICK) if outcome.record)
    assert without.energy_j is None
    outcomes = list(measure(cell("sin", "vmap"), QUICK, energy=True))
    (record,) = (outcome.record for outcome in outcomes if outcome.record)
    assert record.stop_reason == "throttled"
    assert record.energy_j > 0
    samples = outcomes[-1].samples
    assert samples["dropped"]
    assert set(map(tuple, samples["dropped"].values())) == {("hw_slowdown",)}
    assert samples["waits"] is None
