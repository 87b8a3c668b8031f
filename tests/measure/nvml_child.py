"""A child process whose NVML is a stub of the driver's library."""

import json
import os
import subprocess
import sys
from pathlib import Path

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
