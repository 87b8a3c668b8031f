"""What an NVIDIA card says of itself through NVML: clocks, power, temperature, energy, and why it is slow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from types import MappingProxyType
from typing import Any

from jacstrat.core.errors import UsageError
from jacstrat.measure.card import REASONS, Card, DeviceState
from jacstrat.measure.nvml import call, failure, is_lost, start


class Telemetry:
    """An open card. Close it, or use it as a context manager.

    Open it in the process that reads it: NVML does not survive a fork. A MIG slice is read through its whole card,
    since clocks, power and energy are the card's.

    Fields:
        label: The card in messages.
        card: What of it stays.
    """

    def __init__(self, nvml: Any, find: str, key: int | str, label: str) -> None:
        """Takes over one start of NVML, and shuts it down where the card does not open.

        Args:
            nvml: The module pynvml, started.
            find: Its function that finds the card.
            key: What the function finds it by.
            label: The card in messages.
        """
        self._nvml = nvml
        self._missing: dict[str, str] = {}
        self.label = label
        with ExitStack() as started:
            started.callback(call, nvml, label, "nvmlShutdown")
            self._handle = call(nvml, label, find, key)
            self.card = self._read_card()
            self._started = started.pop_all()

    @classmethod
    def open(cls, index: int = 0) -> Telemetry | None:
        """The card behind torch's CUDA device `index`, or None without CUDA in torch or without a driver.

        Torch numbers the cards that CUDA_VISIBLE_DEVICES leaves, in CUDA's order, NVML all of them in PCI order; the
        PCI address is what both know. Asking torch for it starts CUDA in this process.

        Raises:
            UsageError: Torch has no such device.
            TelemetryError: The driver does not serve.
        """
        address = _pci_address(index)
        nvml = start() if address else None
        if nvml is None or address is None:
            return None
        return cls(nvml, "nvmlDeviceGetHandleByPciBusId", address, f"NVIDIA device {address}")

    def __enter__(self) -> Telemetry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the driver, once however often it is called; other open cards stay open."""
        self._started.close()

    @property
    def missing(self) -> Mapping[str, str]:
        """Readings that came back as None so far, each with the driver's first reason."""
        return MappingProxyType(self._missing)

    def state(self) -> DeviceState:
        """The card now, one call of the driver a field.

        Raises:
            DeviceLostError: The card is gone.
            TelemetryError: NVML is shut down.
        """
        nvml = self._nvml
        memory = self._read("memory_used_bytes", "nvmlDeviceGetMemoryInfo")
        return DeviceState(
            sm_clock_mhz=self._read("sm_clock_mhz", "nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
            memory_clock_mhz=self._read("memory_clock_mhz", "nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM),
            power_w=_thousandth(self._read("power_w", "nvmlDeviceGetPowerUsage")),
            temperature_c=self._read("temperature_c", "nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
            reasons=self._reasons(),
            energy_j=self.energy_j(),
            memory_used_bytes=None if memory is None else int(memory.used),
        )

    def energy_j(self) -> float | None:
        """The card's energy counter, joules since the driver was loaded, or None where it has none.

        The driver refreshes it now and then, not at each call: the difference over a few milliseconds can be 0.

        Raises:
            DeviceLostError: The card is gone.
            TelemetryError: NVML is shut down.
        """
        return _thousandth(self._read("energy_j", "nvmlDeviceGetTotalEnergyConsumption"))

    def _read_card(self) -> Card:
        nvml = self._nvml
        clock, threshold = "nvmlDeviceGetMaxClockInfo", nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
        memory = self._read("memory_bytes", "nvmlDeviceGetMemoryInfo")
        return Card(
            name=self._read("name", "nvmlDeviceGetName"),
            driver=call(nvml, self.label, "nvmlSystemGetDriverVersion"),
            sm_clock_max_mhz=self._read("sm_clock_max_mhz", clock, nvml.NVML_CLOCK_SM),
            memory_clock_max_mhz=self._read("memory_clock_max_mhz", clock, nvml.NVML_CLOCK_MEM),
            power_limit_w=_thousandth(self._read("power_limit_w", "nvmlDeviceGetEnforcedPowerLimit")),
            slowdown_c=self._read("slowdown_c", "nvmlDeviceGetTemperatureThreshold", threshold),
            memory_bytes=None if memory is None else int(memory.total),
            sm_clock_default_mhz=self._read(
                "sm_clock_default_mhz", "nvmlDeviceGetDefaultApplicationsClock", nvml.NVML_CLOCK_SM
            ),
            slices=self._slices(),
        )

    def _slices(self) -> tuple[str, ...]:
        """Names of the MIG slices that this process may compute on; none where the card is not cut, or cannot be."""
        nvml = self._nvml
        visible = {one.strip() for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")}
        named = {one for one in visible if one.startswith("MIG-")}
        slices = []
        with suppress(nvml.NVMLError, AttributeError):
            current, _ = nvml.nvmlDeviceGetMigMode(self._handle)
            most = nvml.nvmlDeviceGetMaxMigDeviceCount(self._handle) if current else 0
            for index in range(most):
                with suppress(nvml.NVMLError):  # fewer slices than there could be
                    part = nvml.nvmlDeviceGetMigDeviceHandleByIndex(self._handle, index)
                    if not named or nvml.nvmlDeviceGetUUID(part) in named:
                        slices.append(str(nvml.nvmlDeviceGetName(part)))
        return tuple(slices)

    def _reasons(self) -> tuple[str, ...] | None:
        new, old = "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"
        mask = self._read("reasons", new, older=old)
        if mask is None:
            return None
        bits = (1 << bit for bit in range(mask.bit_length()))
        return tuple(REASONS.get(bit, f"bit_{bit:#x}") for bit in bits if mask & bit)

    def _read(self, reading: str, function: str, *arguments: int, older: str | None = None) -> Any:
        """What the driver says of the card, or None with the reason in `missing`.

        Args:
            reading: Name of the value.
            function: Of pynvml.
            arguments: Of the function, after the card.
            older: The function's name in drivers that lack it.
        """
        nvml = self._nvml
        if not hasattr(nvml, function):
            # What NVIDIA has deprecated may be gone from a later nvidia-ml-py.
            self._missing.setdefault(reading, f"not in this nvidia-ml-py ({function})")
            return None
        try:
            return getattr(nvml, function)(self._handle, *arguments)
        except nvml.NVMLError as error:
            if older and error.value == nvml.NVML_ERROR_FUNCTION_NOT_FOUND:
                return self._read(reading, older, *arguments)
            # These two are about every reading to come, any other error about this one.
            if is_lost(nvml, error) or error.value == nvml.NVML_ERROR_UNINITIALIZED:
                raise failure(nvml, error, self.label, function) from None
            self._missing.setdefault(reading, f"{error} ({function})")
            return None


@contextmanager
def every_card() -> Iterator[tuple[Telemetry, ...]]:
    """Every card of the driver, open, in NVML's order, without starting CUDA; none without a driver.

    Raises:
        TelemetryError: The driver does not serve, or one of the cards does not.
    """
    with ExitStack() as opened:
        count = 0
        if nvml := start():
            opened.callback(call, nvml, "NVML", "nvmlShutdown")
            count = call(nvml, "NVML", "nvmlDeviceGetCount")
        find = "nvmlDeviceGetHandleByIndex"
        yield tuple(
            opened.enter_context(Telemetry(start(), find, index, f"NVIDIA device {index}")) for index in range(count)
        )


def _pci_address(index: int) -> str | None:
    """The PCI address of torch's CUDA device, "00000000:3B:00.0", or None where torch has no NVIDIA device."""
    import torch

    if torch.version.cuda is None or not torch.cuda.is_available():
        return None
    count = torch.cuda.device_count()
    if not 0 <= index < count:
        raise UsageError(f"there is no CUDA device {index}; torch sees {count}, counted from 0")
    device: Any = torch.cuda.get_device_properties(index)  # torch's type stub lacks the address
    return f"{device.pci_domain_id:08X}:{device.pci_bus_id:02X}:{device.pci_device_id:02X}.0"


def _thousandth(value: int | None) -> float | None:
    """NVML counts power in milliwatts and energy in millijoules."""
    return None if value is None else value / 1000
