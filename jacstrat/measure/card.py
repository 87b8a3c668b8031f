"""A card as a value: what of it stays, what moves, and whether that spoils a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

# The bits of nvmlClocksEventReasons in nvml.h, called throttle reasons before driver 535.
REASONS: Mapping[int, str] = MappingProxyType(
    {
        0x001: "idle",
        0x002: "application_clocks",
        0x004: "sw_power_cap",
        0x008: "hw_slowdown",
        0x010: "sync_boost",
        0x020: "sw_thermal_slowdown",
        0x040: "hw_thermal_slowdown",
        0x080: "hw_power_brake",
        0x100: "display_clocks",
        0x200: "board_limit",
        0x400: "reliability",
    }
)

# The card runs below the clock asked of it because of heat or power, so the time is not that of the code. The other
# reasons are a clock that somebody has chosen (application, display, sync boost), a card with nothing to do, and the
# voltage limit at the top of an ordinary boost (reliability).
SPOILING = frozenset(
    {
        "sw_power_cap",
        "hw_slowdown",
        "sw_thermal_slowdown",
        "hw_thermal_slowdown",
        "hw_power_brake",
        "board_limit",
    }
)


@dataclass(frozen=True, kw_only=True)
class Card:
    """What of a card stays; None for what it lacks.

    Fields:
        name: "NVIDIA H200", ...
        driver: Version of the driver.
        sm_clock_max_mhz, memory_clock_max_mhz: The highest clocks.
        power_limit_w: The limit in force, watts.
        slowdown_c: Temperature at which the card slows down, degrees Celsius.
        memory_bytes: Memory of the card.
        sm_clock_default_mhz: The clock that it is made to hold under load, as far as the driver tells one.
        slices: Names of the MIG slices that it is cut into, "NVIDIA H100 80GB HBM3 MIG 1g.10gb"; where
            CUDA_VISIBLE_DEVICES names slices, of these alone. Empty for a whole card.
    """

    name: str | None
    driver: str | None
    sm_clock_max_mhz: int | None
    memory_clock_max_mhz: int | None
    power_limit_w: float | None
    slowdown_c: int | None
    memory_bytes: int | None
    sm_clock_default_mhz: int | None = None
    slices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DeviceState:
    """What of a card moves, at one moment; None for what it lacks.

    Fields:
        sm_clock_mhz, memory_clock_mhz: Current clocks.
        power_w: Power draw, watts.
        temperature_c: Of the GPU, degrees Celsius.
        reasons: Names from REASONS of why the clock is what it is; a bit without a name is "bit_0x...".
        energy_j: Energy used since the driver was loaded, joules.
        memory_used_bytes: Memory in use, by everybody.
    """

    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    power_w: float | None = None
    temperature_c: int | None = None
    reasons: tuple[str, ...] | None = None
    energy_j: float | None = None
    memory_used_bytes: int | None = None


def falls_when_idle(state: DeviceState) -> bool:
    """Whether the clocks go down now that the card has nothing to do: a clock that is locked stays where it is.

    NVML has no reading of what `nvidia-smi -lgc` has set. While the card works, or where it tells no reasons, nothing
    can be said.
    """
    return "idle" in (state.reasons or ())


def throttled(state: DeviceState) -> tuple[str, ...]:
    """The reasons in a state that spoil a sample; none also where the card does not tell its reasons."""
    return tuple(reason for reason in state.reasons or () if reason in SPOILING)


class DeviceSource(Protocol):
    """What sampling asks of a card; Telemetry is one, and so is any object with these two."""

    def state(self) -> DeviceState:
        """The card now."""
        ...

    def energy_j(self) -> float | None:
        """The card's energy counter, joules, or None where it has none."""
        ...
