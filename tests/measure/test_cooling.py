"""Rests of a card, whose states and time the test tells."""

from __future__ import annotations

import pytest

from jacstrat.measure.card import DeviceState
from jacstrat.measure.cooling import COOLER_C, LOOK_S, MOST_S, Cooling, hot


class Card:
    """A card that is in these states in turn, the last of them for ever."""

    def __init__(self, *states: DeviceState) -> None:
        self.states = list(states)

    def state(self) -> DeviceState:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def energy_j(self) -> None:
        return None


def at(temperature_c: int | None, *reasons: str) -> DeviceState:
    return DeviceState(temperature_c=temperature_c, reasons=reasons)


HOT = at(88, "sw_thermal_slowdown")


def rested(card: Card, *states: DeviceState) -> tuple[list[float], int]:
    """The waits behind blocks that ended in these states, and how often a sign of life was given."""
    waits: list[float] = []
    beats: list[int] = []
    cooling = Cooling(card, waits.append)
    for state in states:
        cooling.rest(state, lambda: beats.append(1))
    return waits, len(beats)


@pytest.mark.parametrize("state", [DeviceState(), at(88), at(88, "sw_power_cap"), at(88, "idle")])
def test_a_card_that_is_not_slowed_down_for_heat_needs_no_rest(state: DeviceState) -> None:
    assert not hot(state)
    assert rested(Card(HOT), state) == ([], 0)


def test_a_hot_card_rests_until_it_is_cooler_than_where_it_was_slowed_down() -> None:
    card = Card(HOT, at(86), at(88 - COOLER_C + 1), at(88 - COOLER_C))
    assert rested(card, HOT) == ([LOOK_S] * 4, 4)


def test_a_card_that_tells_no_temperature_rests_until_its_reasons_are_gone() -> None:
    card = Card(at(None, "hw_slowdown"), at(None, "idle"))
    assert rested(card, at(None, "hw_thermal_slowdown")) == ([LOOK_S] * 2, 2)


def test_rests_of_a_cell_end_where_a_card_does_not_cool() -> None:
    waits, beats = rested(Card(HOT), HOT, HOT, HOT)
    assert sum(waits) == pytest.approx(MOST_S)
    assert beats == len(waits)
