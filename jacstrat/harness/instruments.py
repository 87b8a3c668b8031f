"""What a cell is measured with: the clock of its device, and the card's own telemetry where it has any."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch

from jacstrat.measure.clocks import Clock, Work, clock_for
from jacstrat.measure.energy import energy_per_call
from jacstrat.measure.telemetry import DeviceSource, Telemetry, TelemetryError, throttled


@dataclass(frozen=True)
class Instruments:
    """A clock, and a card or None where nobody tells of one.

    Fields:
        clock: Of the device.
        card: Its telemetry.
        energy: Whether energy is asked for: it takes the card more than half a second of calls for each strategy.
    """

    clock: Clock
    card: DeviceSource | None = None
    energy: bool = False

    def spoiled(self) -> tuple[str, ...]:
        """Why what was just measured does not count; see `sampling.sample`."""
        return () if self.card is None else throttled(self.card.state())

    def energy_j(self, work: Work, call_s: float) -> float | None:
        """Energy of one call, joules; None where it is not asked for, or the card does not tell."""
        if self.card is None or not self.energy:
            return None
        return energy_per_call(work, call_s, self.clock, self.card)


@contextmanager
def instruments_for(device: str, energy: bool = False) -> Iterator[Instruments]:
    """Those of a device, closed at the end; energy is taken where it is asked for."""
    with _card(torch.device(device)) or nullcontext() as card:
        yield Instruments(clock_for(device), card, energy)


def _card(device: torch.device) -> Telemetry | None:
    if device.type != "cuda":
        return None
    index = torch.accelerator.current_device_index() if device.index is None else device.index
    try:
        return Telemetry.open(index)
    except TelemetryError:
        # The warnings of the environment tell of a driver that does not serve; device time needs none.
        return None
