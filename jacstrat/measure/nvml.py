"""NVIDIA's library of a card's readings: started, called, and what its errors mean."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from jacstrat.core.errors import JacstratError


class TelemetryError(JacstratError):
    """The driver is there and does not serve; the message says what it answers."""


class DeviceLostError(TelemetryError):
    """The card has fallen off the bus or waits for a reset: nothing measured on it counts any more."""


def start() -> Any:
    """The module pynvml, with NVML started once more, or None without a driver. NVML counts its starts."""
    nvml: Any = import_module("pynvml")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        if error.value in (nvml.NVML_ERROR_LIBRARY_NOT_FOUND, nvml.NVML_ERROR_DRIVER_NOT_LOADED):
            return None
        raise failure(nvml, error, "NVML", "nvmlInit") from None
    return nvml


def call(nvml: Any, label: str, function: str, *arguments: Any) -> Any:
    """What a function of pynvml returns that has to succeed."""
    try:
        return getattr(nvml, function)(*arguments)
    except nvml.NVMLError as error:
        raise failure(nvml, error, label, function) from None


def is_lost(nvml: Any, error: Any) -> bool:
    return error.value in (nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_RESET_REQUIRED)


def failure(nvml: Any, error: Any, label: str, function: str) -> TelemetryError:
    """What to raise for one of NVML's errors."""
    if is_lost(nvml, error):
        return DeviceLostError(
            f"{label} does not answer: {error} ({function}); reset it, and discard what was measured on it"
        )
    return TelemetryError(f"{label} does not serve: {error} ({function}); see whether nvidia-smi runs")
