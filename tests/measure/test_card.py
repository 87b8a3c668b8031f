"""What a card says of its clock, and what of it spoils a sample."""

from __future__ import annotations

import pynvml
import pytest

from jacstrat.measure.card import REASONS, SPOILING, DeviceState, throttled


def test_reason_bits_are_those_of_nvml():
    assert {name: bit for bit, name in REASONS.items()} == {
        "idle": pynvml.nvmlClocksEventReasonGpuIdle,
        "application_clocks": pynvml.nvmlClocksEventReasonApplicationsClocksSetting,
        "sw_power_cap": pynvml.nvmlClocksEventReasonSwPowerCap,
        "hw_slowdown": pynvml.nvmlClocksThrottleReasonHwSlowdown,
        "sync_boost": pynvml.nvmlClocksEventReasonSyncBoost,
        "sw_thermal_slowdown": pynvml.nvmlClocksEventReasonSwThermalSlowdown,
        "hw_thermal_slowdown": pynvml.nvmlClocksThrottleReasonHwThermalSlowdown,
        "hw_power_brake": pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown,
        "display_clocks": pynvml.nvmlClocksEventReasonDisplayClockSetting,
        # Younger than the oldest nvidia-ml-py that jacstrat takes.
        "board_limit": getattr(pynvml, "nvmlClocksThrottleReasonBoardLimit", 0x200),
        "reliability": getattr(pynvml, "nvmlClocksThrottleReasonReliability", 0x400),
    }
    assert set(REASONS.values()) > SPOILING


@pytest.mark.parametrize(
    ("reasons", "spoiling"),
    [
        (None, ()),
        ((), ()),
        (("idle", "application_clocks", "sync_boost", "display_clocks", "reliability"), ()),
        (("idle", "hw_power_brake"), ("hw_power_brake",)),
        (("sw_power_cap", "hw_thermal_slowdown"), ("sw_power_cap", "hw_thermal_slowdown")),
    ],
)
def test_only_heat_and_power_spoil_a_sample(reasons, spoiling):
    assert throttled(DeviceState(reasons=reasons)) == spoiling
