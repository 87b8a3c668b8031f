"""NVML as a library of C: whether it is there and serves, what it lacks, and the slices that it tells of."""

import pytest

from jacstrat.measure.telemetry import Telemetry
from tests.measure.nvml_child import STATES, child


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
