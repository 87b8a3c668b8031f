"""The devices that a sweep may name, and those that are here."""

from __future__ import annotations

import re

import torch

from jacstrat.core.errors import UsageError, unknown

DEVICES = ("cpu", "cuda", "xpu", "mps")
ALL = "all"


def check_devices(devices: tuple[str, ...]) -> None:
    """Refuse a device that this machine lacks; names those that it has.

    Raises:
        UsageError: The device is not there.
    """
    for device in devices:
        if (kind := re.sub(r":\d+$", "", device)) not in DEVICES:
            raise UsageError(unknown("device", kind, DEVICES))
        if (reason := missing_device(device)) is not None:
            raise UsageError(reason)


def every_device(devices: tuple[str, ...]) -> tuple[str, ...]:
    """The devices with each "cuda:all" replaced by those of that kind that torch sees here, by their numbers.

    Raises:
        UsageError: There is none of a kind of which all are asked for.
    """
    named: list[str] = []
    for device in devices:
        kind, _, index = device.partition(":")
        if index != ALL:
            named.append(device)
            continue
        if kind not in DEVICES[1:]:
            raise UsageError(f"{device}: {unknown('accelerator', kind, DEVICES[1:])}")
        if (reason := missing_device(kind)) is not None:
            raise UsageError(reason)
        named += [f"{kind}:{number}" for number in range(torch.accelerator.device_count())]
    return tuple(dict.fromkeys(named))


def missing_device(device: str) -> str | None:
    """Why torch cannot compute on the device here, or None where it can."""
    kind, _, index = device.partition(":")
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    count = torch.accelerator.device_count() if accelerator else 0
    here = ["cpu"] + [f"{accelerator.type}:{i}" for i in range(count)] if accelerator else ["cpu"]
    if device == "cpu" or (accelerator and kind == accelerator.type and int(index or 0) < count):
        return None
    return f"device {device} is not available; here: {', '.join(here)}"
