"""What a cell is measured with: the clock of its device, and the card's own telemetry where it has any."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import torch

from jacstrat.graphs import Work
from jacstrat.measure.card import DeviceSource, DeviceState
from jacstrat.measure.clocks import WARM, Clock
from jacstrat.measure.cooling import Cooling
from jacstrat.measure.energy import energy_per_call
from jacstrat.measure.nvml import TelemetryError
from jacstrat.measure.telemetry import Telemetry
from jacstrat.measure.torch_device import clock_for


@dataclass(frozen=True)
class Instruments:
    """A clock, and a card or None where nobody tells of one.

    Fields:
        clock: Of the numbers of a row.
        card: Its telemetry.
        beside: Clocks of other caches that are asked for, by `clocks.CACHES`.
        cooling: Rests of the card.
        energy: Whether energy is asked for: it takes the card more than half a second of calls for each strategy.
    """

    clock: Clock
    card: DeviceSource | None = None
    beside: Mapping[str, Clock] = field(default_factory=dict)
    cooling: Cooling | None = None
    energy: bool = False

    def look(self) -> DeviceState | None:
        """The card now; see `measure.watch.Watch`."""
        return None if self.card is None else self.card.state()

    def rest(self, state: DeviceState, beat: Callable[[], object]) -> None:
        """Let a card that was slowed down for heat cool."""
        if self.cooling is not None:
            self.cooling.rest(state, beat)

    def energy_j(self, work: Work, call_s: float) -> float | None:
        """Energy of one call, joules; None where it is not asked for, or the card does not tell."""
        if self.card is None or not self.energy:
            return None
        return energy_per_call(work, call_s, self.clock, self.card)


@contextmanager
def instruments_for(device: str, caches: Sequence[str] = (WARM,), energy: bool = False) -> Iterator[Instruments]:
    """Those of a device, closed at the end.

    Args:
        device: Of the cell.
        caches: What calls find in the caches, the first one for the numbers of a row.
        energy: Whether energy is taken, where the card tells it.
    """
    clock, *others = (clock_for(device, cache) for cache in caches)
    with _card(torch.device(device)) or nullcontext() as card:
        beside = dict(zip(caches[1:], others, strict=True))
        yield Instruments(clock, card, beside, None if card is None else Cooling(card), energy)


def _card(device: torch.device) -> Telemetry | None:
    if device.type != "cuda":
        return None
    index = torch.accelerator.current_device_index() if device.index is None else device.index
    try:
        return Telemetry.open(index)
    except TelemetryError:
        # The warnings of the environment tell of a driver that does not serve; device time needs none.
        return None
