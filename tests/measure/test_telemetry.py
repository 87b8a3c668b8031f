"""The real nvidia-ml-py drives a stub of the driver's library, in a child process that finds it first."""

import pytest

from jacstrat.measure.card import REASONS
from tests.measure.nvml_child import CARDS, STATES, child


def test_healthy_cards_answer_exact_figures_in_their_units(library):
    code = """
with every_card() as cards:
    show([asdict(card.card) for card in cards])
    show([asdict(card.state()) for card in cards])
    show([card.energy_j() for card in cards])
    show([dict(card.missing) for card in cards])
    show([card.label for card in cards])
show(started())
"""
    cards, states, energies, missing, labels, left = child(library(), code)
    assert cards == CARDS
    assert states == STATES
    assert energies == [123456.789, 5_000_000_000.25]
    assert missing == [{}, {}]
    assert labels == ["NVIDIA device 0", "NVIDIA device 1"]
    assert left == 0


def test_no_cards_are_no_telemetry(library):
    code = """
with every_card() as cards:
    show(list(cards))
show(started())
"""
    assert child(library(), code, NVML_STUB_CARDS="0") == [[], 0]


def test_every_reason_has_its_name_and_an_unknown_bit_is_not_dropped(library):
    code = """
with every_card() as cards:
    state = cards[0].state()
    show(state.reasons)
    show(throttled(state))
"""
    reasons, spoiling = child(library(), code, NVML_STUB_REASONS="0x4000000000000fff")
    assert reasons == [*REASONS.values(), "bit_0x800", "bit_0x4000000000000000"]
    assert spoiling == [
        "sw_power_cap",
        "hw_slowdown",
        "sw_thermal_slowdown",
        "hw_thermal_slowdown",
        "hw_power_brake",
        "board_limit",
    ]


def test_what_a_card_lacks_or_forbids_is_none_and_noted_once(library):
    code = """
with every_card() as cards:
    state = cards[0].state()
    show([asdict(cards[0].card), asdict(state), throttled(state)])
    errors("nvmlDeviceGetPowerUsage=4")
    show(asdict(cards[0].state()))
    show(dict(cards[0].missing))
"""
    refused = (
        "nvmlDeviceGetPowerUsage=3,nvmlDeviceGetTotalEnergyConsumption=4,nvmlDeviceGetTemperature=999,"
        "nvmlDeviceGetCurrentClocksEventReasons=3,nvmlDeviceGetMemoryInfo=3,nvmlDeviceGetName=4,"
        "nvmlDeviceGetEnforcedPowerLimit=3,nvmlDeviceGetTemperatureThreshold=3,nvmlDeviceGetMaxClockInfo=777,"
        "nvmlDeviceGetDefaultApplicationsClock=3"
    )
    (card, state, spoiling), later, missing = child(library(), code, NVML_STUB_ERRORS=refused)
    assert card == {**dict.fromkeys(CARDS[0]), "driver": "570.86.15", "slices": []}
    assert state == {**dict.fromkeys(STATES[0]), "sm_clock_mhz": 1410, "memory_clock_mhz": 1593}
    assert spoiling == []
    assert later == {**STATES[0], "power_w": None}
    assert missing == {
        "name": "Insufficient Permissions (nvmlDeviceGetName)",
        "sm_clock_max_mhz": "Stub error 777 (nvmlDeviceGetMaxClockInfo)",
        "memory_clock_max_mhz": "Stub error 777 (nvmlDeviceGetMaxClockInfo)",
        "power_limit_w": "Not Supported (nvmlDeviceGetEnforcedPowerLimit)",
        "slowdown_c": "Not Supported (nvmlDeviceGetTemperatureThreshold)",
        "memory_bytes": "Not Supported (nvmlDeviceGetMemoryInfo)",
        "sm_clock_default_mhz": "Not Supported (nvmlDeviceGetDefaultApplicationsClock)",
        "memory_used_bytes": "Not Supported (nvmlDeviceGetMemoryInfo)",
        "power_w": "Not Supported (nvmlDeviceGetPowerUsage)",
        "temperature_c": "Unknown Error (nvmlDeviceGetTemperature)",
        "reasons": "Not Supported (nvmlDeviceGetCurrentClocksEventReasons)",
        "energy_j": "Insufficient Permissions (nvmlDeviceGetTotalEnergyConsumption)",
    }


LOST = "{} does not answer: {} ({}); reset it, and discard what was measured on it"


def test_a_lost_card_is_an_error_and_no_reading(library):
    code = """
with every_card() as cards:
    show(cards[0].energy_j())
    errors("nvmlDeviceGetTotalEnergyConsumption=15")
    show(attempt(cards[0].energy_j))
    show(attempt(cards[0].state))
    errors("nvmlDeviceGetTemperature=16")
    show(attempt(cards[1].state))
    show([dict(card.missing) for card in cards])
errors("nvmlDeviceGetHandleByIndex_v2=15")
show(attempt(enter))
errors("nvmlDeviceGetName=15")
show(attempt(enter))
show(started())
"""
    energy, *lost, missing, gone, nameless, left = child(library(), code)
    counter = LOST.format("NVIDIA device 0", "GPU is lost", "nvmlDeviceGetTotalEnergyConsumption")
    reset = LOST.format("NVIDIA device 1", "GPU requires restart", "nvmlDeviceGetTemperature")
    assert energy == 123456.789
    assert lost == [["DeviceLostError", message] for message in (counter, counter, reset)]
    assert missing == [{}, {}]
    assert gone == [
        "DeviceLostError",
        LOST.format("NVIDIA device 0", "GPU is lost", "nvmlDeviceGetHandleByIndex"),
    ]
    assert nameless == ["DeviceLostError", LOST.format("NVIDIA device 0", "GPU is lost", "nvmlDeviceGetName")]
    assert left == 0


def test_the_cuda_index_goes_through_the_pci_address(library):
    code = """
# CUDA_VISIBLE_DEVICES=1: torch's device 0 is the second card.
fake_torch((1, 0xAF, 0))
with Telemetry.open(0) as telemetry:
    show([telemetry.card.name, telemetry.label, asdict(telemetry.state())])
show(attempt(lambda: Telemetry.open(1)))
show(attempt(lambda: Telemetry.open(-1)))
# CUDA_VISIBLE_DEVICES=1,0
fake_torch((1, 0xAF, 0), (0, 0x3B, 0))
with Telemetry.open(1) as telemetry:
    show(telemetry.card.name)
fake_torch((0, 0x5E, 0))
show(attempt(lambda: Telemetry.open(0)))
show(started())
"""
    second, high, low, first, unknown, left = child(library(), code)
    assert second == ["NVIDIA Stub 200", "NVIDIA device 00000001:AF:00.0", STATES[1]]
    assert high == ["UsageError", "there is no CUDA device 1; torch sees 1, counted from 0"]
    assert low == ["UsageError", "there is no CUDA device -1; torch sees 1, counted from 0"]
    assert first == "NVIDIA Stub 100"
    assert unknown == [
        "TelemetryError",
        "NVIDIA device 00000000:5E:00.0 does not serve: Not Found (nvmlDeviceGetHandleByPciBusId); "
        "see whether nvidia-smi runs",
    ]
    assert left == 0


def test_without_nvidia_devices_in_torch_there_is_no_telemetry(library):
    code = """
fake_torch()
show(Telemetry.open(0))
fake_torch((0, 0x3B, 0), cuda=None)  # torch for AMD cards calls them CUDA devices too
show(Telemetry.open(0))
show("pynvml" in sys.modules)
"""
    assert child(library(), code) == [None, None, False]


def test_closing_is_once_and_leaves_the_other_cards_open(library):
    code = """
fake_torch((0, 0x3B, 0), (1, 0xAF, 0))
first, second = Telemetry.open(0), Telemetry.open(1)
first.close()
first.close()
show([started(), second.energy_j()])
second.close()
show(started())
show(attempt(second.state))
"""
    assert child(library(), code) == [
        [1, 5_000_000_000.25],
        0,
        [
            "TelemetryError",
            "NVIDIA device 00000001:AF:00.0 does not serve: Uninitialized (nvmlDeviceGetMemoryInfo); "
            "see whether nvidia-smi runs",
        ],
    ]


@pytest.mark.long
def test_a_snapshot_lists_the_cards_and_outlives_a_lost_one(library):
    code = """
from jacstrat.measure.environment import snapshot, warnings
before = snapshot()
errors("nvmlDeviceGetClockInfo=15")
after = before.at_end()
plain = after.to_json()
show([plain["cards"], plain["start"]["devices"], plain["start"]["unreadable"]])
show([plain["end"]["devices"], plain["end"]["unreadable"]])
show([line for line in warnings(after) if "GPU" in line])
show(started())
"""
    # The torch that runs this may see the stub's cards too, so nothing is asked of its accelerator.
    start, end, doubts, left = child(library(), code, NVML_STUB_REASONS="0x40", CUDA_VISIBLE_DEVICES="")
    lost = LOST.format("NVIDIA device 0", "GPU is lost", "nvmlDeviceGetClockInfo")
    states = [{**state, "reasons": ["hw_thermal_slowdown"]} for state in STATES]
    assert start == [CARDS, states, {}]
    assert end == [[], {"NVML": lost}]
    assert doubts == [
        "GPU 0 (NVIDIA Stub 100) is throttled at the start: hw_thermal_slowdown; let it cool, or raise its power limit",
        "GPU 1 (NVIDIA Stub 200) is throttled at the start: hw_thermal_slowdown; let it cool, or raise its power limit",
        "GPU 1 (NVIDIA Stub 200) has 86 °C at the start and slows down at 89 °C; let it cool",
        f"no telemetry of the GPU at the end: {lost}",
    ]
    assert left == 0
