"""Somebody who looks at a card between blocks, and has it rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from jacstrat.measure.card import DeviceState


class Watch(Protocol):
    """Looks at a card between blocks."""

    def look(self) -> DeviceState | None:
        """The card now; None where nobody tells of one."""
        ...

    def rest(self, state: DeviceState, beat: Callable[[], object]) -> object:
        """Wait where the card in this state had better cool; `beat` is called again and again meanwhile."""
        ...


class Unwatched:
    """Of a device that nobody tells of."""

    def look(self) -> None:
        return None

    def rest(self, state: DeviceState, beat: Callable[[], object]) -> None:
        return None


UNWATCHED = Unwatched()
