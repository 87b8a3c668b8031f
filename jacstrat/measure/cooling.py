"""A rest for a card that was slowed down for heat: what is measured next would be slow for what came before."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from jacstrat.measure.card import DeviceSource, DeviceState

# Slowed down for its temperature. A cap on power ends as soon as the work does: no rest mends that.
HOT = frozenset({"hw_slowdown", "hw_thermal_slowdown", "sw_thermal_slowdown"})
# Between two looks at a card that cools.
LOOK_S = 0.5
# Of all rests of one cell. A card that is still hot then has not enough air, and its samples say `throttled`.
MOST_S = 30.0
# Below the temperature at which it was slowed down: nearer, the next block takes it there again.
COOLER_C = 5


def hot(state: DeviceState) -> bool:
    """Whether the card is slowed down for heat."""
    return bool(HOT.intersection(state.reasons or ()))


@dataclass
class Cooling:
    """Rests of one card.

    Fields:
        card: Whose state is read.
        sleep: Waits for so many seconds.
        left_s: What may still be waited.
    """

    card: DeviceSource
    sleep: Callable[[float], object] = time.sleep
    left_s: float = MOST_S

    def rest(self, state: DeviceState, beat: Callable[[], object]) -> None:
        """Wait until a card that is hot in this state is so no more, and cooler; others need no rest.

        Args:
            state: The card behind the block that has just ended.
            beat: Called at each look, so that the wait is not taken for a hang.
        """
        if not hot(state):
            return
        goal_c = None if state.temperature_c is None else state.temperature_c - COOLER_C
        while self.left_s > 0:
            self.sleep(min(LOOK_S, self.left_s))
            self.left_s -= LOOK_S
            beat()
            now = self.card.state()
            if not hot(now) and (goal_c is None or now.temperature_c is None or now.temperature_c <= goal_c):
                return
