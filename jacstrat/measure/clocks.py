"""A clock: the time of a block of calls, whoever does the work, behind one small interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from jacstrat.graphs import Work

COLD, WARM = "cold", "warm"
CACHES: Mapping[str, str] = MappingProxyType(
    {
        WARM: "a call follows one of the same work, as in a loop",
        COLD: "the last cache is flushed before every call, and on a device the call starts with nothing queued",
    }
)
"""What a timed call finds in the caches."""


@dataclass(frozen=True)
class Timing:
    """The time of a block of calls, in seconds.

    Fields:
        seconds: What is reported: host time on the CPU, device time on an accelerator.
        host_s: Host time until the last call had returned; on an accelerator its work can still be under way then.
        beside_s: Host time that it took beside these: flushes, a call that is not timed.
    """

    seconds: float
    host_s: float
    beside_s: float = 0.0

    @property
    def spent_s(self) -> float:
        """What taking it took."""
        return max(self.seconds, self.host_s) + self.beside_s


class Clock(Protocol):
    """Times blocks of calls.

    Fields:
        tick_s: The shortest time that two readings can tell apart.
        cache: WARM or COLD, see CACHES.
        lead: Calls that are made before a block and not timed.
    """

    tick_s: float
    cache: str
    lead: int

    def time(self, work: Work, calls: int) -> Timing:
        """The time of `calls` calls in a row; everything they started has ended on return."""
        ...

    def waits(self, work: Work) -> bool | None:
        """Whether the host waits for the device inside a call; None where there is no device or it cannot be told."""
        ...
