"""The real nvidia-ml-py drives a stub of the driver's library, in a child process that finds it first."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jacstrat.measure.card import REASONS
from jacstrat.measure.telemetry import Telemetry

STUB = Path(__file__).with_name("nvml_stub.c")

PREAMBLE = """
import json, os, sys, types
from dataclasses import asdict
from jacstrat.core.errors import UsageError
from jacstrat.measure.card import *
from jacstrat.measure.nvml import *
from jacstrat.measure.telemetry import *

def show(value): print(json.dumps(value))

def errors(text): os.environ["NVML_STUB_ERRORS"] = text

def started():
    import pynvml
    return pynvml.nvmlLib.stub_started()

def attempt(call):
    try:
        call()
    except Exception as error:
        return [type(error).__name__, str(error)]

def enter():
    with every_card():
        pass

# A torch whose CUDA devices lie at these addresses, as CUDA_VISIBLE_DEVICES can have it.
def fake_torch(*addresses, cuda="12.8"):
    def properties(index):
        domain, bus, device = addresses[index]
        return types.SimpleNamespace(pci_domain_id=domain, pci_bus_id=bus, pci_device_id=device)
    sys.modules["torch"] = types.SimpleNamespace(
        version=types.SimpleNamespace(cuda=cuda),
        cuda=types.SimpleNamespace(
            is_available=lambda: bool(addresses),
            device_count=lambda: len(addresses),
            get_device_properties=properties,
        ),
    )
"""

CARDS = [
    {
        "name": "NVIDIA Stub 100",
        "driver": "570.86.15",
        "sm_clock_max_mhz": 1980,
        "memory_clock_max_mhz": 2619,
        "power_limit_w": 700.0,
        "slowdown_c": 90,
        "memory_bytes": 150_000_000_000,
        "sm_clock_default_mhz": 1755,
        "slices": [],
    },
    {
        "name": "NVIDIA Stub 200",
        "driver": "570.86.15",
        "sm_clock_max_mhz": 2100,
        "memory_clock_max_mhz": 3201,
        "power_limit_w": 600.0,
        "slowdown_c": 89,
        "memory_bytes": 80_000_000_000,
        "sm_clock_default_mhz": 1830,
        "slices": [],
    },
]

STATES = [
    {
        "sm_clock_mhz": 1410,
        "memory_clock_mhz": 1593,
        "power_w": 201.5,
        "temperature_c": 47,
        "reasons": [],
        "energy_j": 123456.789,
        "memory_used_bytes": 1_073_741_824,
    },
    {
        "sm_clock_mhz": 345,
        "memory_clock_mhz": 405,
        "power_w": 88.25,
        "temperature_c": 86,
        "reasons": [],
        "energy_j": 5_000_000_000.25,
        "memory_used_bytes": 7,
    },
]


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """Compiles the stub with some macros; gives the folder it lies in."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("the stub of libnvidia-ml.so.1 needs Linux and a C compiler (cc or gcc)")
    built = {}

    def build(*macros):
        if macros not in built:
            folder = tmp_path_factory.mktemp("nvml")
            target = folder / "libnvidia-ml.so.1"
            options = ["-shared", "-fPIC", *(f"-D{macro}" for macro in macros)]
            subprocess.run([compiler, *options, "-o", target, STUB], check=True)
            built[macros] = folder
        return built[macros]

    return build


def child(folder, code, **environ):
    """The values that the code shows, in a Python that loads libnvidia-ml.so.1 from a folder."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NVML_STUB_")}
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + code],
        env={**inherited, "LD_LIBRARY_PATH": str(folder), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


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


def test_an_older_driver_gives_its_reasons_by_their_older_name(library):
    code = """
with every_card() as cards:
    show(cards[0].state().reasons)
    show(dict(cards[0].missing))
"""
    folder = library("WITHOUT_EVENT_REASONS")
    assert child(folder, code, NVML_STUB_REASONS="0x41") == [["idle", "hw_thermal_slowdown"], {}]


def test_functions_that_the_driver_lacks_read_as_none_with_the_reason(library):
    code = """
with every_card() as cards:
    show(asdict(cards[0].state()))
    show(dict(cards[0].missing))
"""
    state, missing = child(library("WITHOUT_REASONS", "WITHOUT_ENERGY"), code, NVML_STUB_REASONS="0x41")
    assert state == {**STATES[0], "reasons": None, "energy_j": None}
    assert missing == {
        "reasons": "Function Not Found (nvmlDeviceGetCurrentClocksThrottleReasons)",
        "energy_j": "Function Not Found (nvmlDeviceGetTotalEnergyConsumption)",
    }


def test_a_reading_that_a_later_nvidia_ml_py_has_not_is_none_with_the_reason(library):
    code = """
import pynvml
del pynvml.nvmlDeviceGetDefaultApplicationsClock
with every_card() as cards:
    show([cards[0].card.sm_clock_default_mhz, dict(cards[0].missing)])
    show([falls_when_idle(cards[0].state()), falls_when_idle(DeviceState())])
"""
    (clock, missing), falls = child(library(), code, NVML_STUB_REASONS="0x3")
    words = "not in this nvidia-ml-py (nvmlDeviceGetDefaultApplicationsClock)"
    assert (clock, missing) == (None, {"sm_clock_default_mhz": words})
    assert falls == [True, False]


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


ABSENT = """
fake_torch((0, 0x3B, 0))
show(Telemetry.open(0))
with every_card() as cards:
    show(list(cards))
"""


def test_without_the_library_there_is_no_telemetry(tmp_path):
    # The loader ends its search at a file that is no library, so a real driver is not found either.
    (tmp_path / "libnvidia-ml.so.1").write_text("no library")
    assert child(tmp_path, ABSENT) == [None, []]


def test_without_the_driver_there_is_no_telemetry(library):
    assert child(library(), ABSENT, NVML_STUB_ERRORS="nvmlInitWithFlags=9") == [None, []]


def test_a_driver_that_does_not_serve_says_why(library):
    code = """
errors("nvmlInitWithFlags=18")
fake_torch((0, 0x3B, 0))
show(attempt(lambda: Telemetry.open(0)))
show(attempt(enter))
errors("nvmlDeviceGetCount_v2=999")
show(attempt(enter))
show(started())
"""
    mismatch = [
        "TelemetryError",
        "NVML does not serve: RM has detected an NVML/RM version mismatch. (nvmlInit); see whether nvidia-smi runs",
    ]
    count = [
        "TelemetryError",
        "NVML does not serve: Unknown Error (nvmlDeviceGetCount); see whether nvidia-smi runs",
    ]
    assert child(library(), code) == [mismatch, mismatch, count, 0]


def test_pynvml_is_imported_only_when_a_card_is_opened(tmp_path):
    assert child(tmp_path, 'show("pynvml" in sys.modules)') == [False]


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


class FakeNvml:
    """As much of pynvml as tells of slices: cards with a list of (UUID, name) each; None of one that cannot be cut."""

    class NVMLError(Exception):
        pass

    def __init__(self, slices: list[tuple[str, str]] | None, enabled: bool = True) -> None:
        self.slices, self.enabled = slices, enabled

    def nvmlDeviceGetMigMode(self, card):
        if self.slices is None:
            raise self.NVMLError("Not Supported")
        return [int(self.enabled), 1]

    def nvmlDeviceGetMaxMigDeviceCount(self, card):
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card, index):
        if index >= len(self.slices):
            raise self.NVMLError("Not Found")
        return self.slices[index]

    def nvmlDeviceGetUUID(self, part):
        return part[0]

    def nvmlDeviceGetName(self, part):
        return part[1]


PARTS = [("MIG-a", "NVIDIA H100 MIG 1g.10gb"), ("MIG-b", "NVIDIA H100 MIG 2g.20gb")]


@pytest.mark.parametrize(
    ("nvml", "visible", "found"),
    [
        (FakeNvml(PARTS), "", [name for _, name in PARTS]),
        (FakeNvml(PARTS), "0", [name for _, name in PARTS]),
        (FakeNvml(PARTS), "MIG-b", ["NVIDIA H100 MIG 2g.20gb"]),
        (FakeNvml(PARTS, enabled=False), "", []),
        (FakeNvml(None), "", []),
        (FakeNvml([]), "", []),
    ],
)
def test_a_card_names_its_slices_those_that_are_visible(monkeypatch, nvml, visible: str, found: list[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    card = Telemetry.__new__(Telemetry)
    card._nvml, card._handle = nvml, "a card"
    assert card._slices() == tuple(found)
