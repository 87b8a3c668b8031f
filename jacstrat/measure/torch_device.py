"""The devices that torch computes on, what flushes their caches, and their clocks."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from jacstrat.caches import last_cache_bytes
from jacstrat.measure.clocks import WARM, Clock
from jacstrat.measure.device_clock import DeviceClock
from jacstrat.measure.host_clock import HostClock

# One is a product of square matrices of float32: 0.3 to 1 ms on a data-centre card, many times its launch, so that also
# a call that takes a slow host 50 ms can be told.
HOLD_N = 3072

# Written to flush a cache whose size torch does not tell; larger than the caches of present accelerators (H200: 50 MB,
# MI300X: 256 MB behind an L2 of 4 MB).
FLUSH_BYTES = 512 * 2**20
# Of the size that torch tells: once over leaves lines behind where the cache does not replace its oldest first.
FLUSH_TIMES = 2


class TorchDevice:
    """The accelerator that torch computes on, through torch.accelerator and torch.Event: cuda (ROCm too), xpu, mps."""

    # Of cudaEventElapsedTime. Metal's events are stamped by the host as it hears of them; the others state nothing.
    event_tick_s = 0.5e-6

    def __init__(self, device: str | torch.device) -> None:
        named = torch.device(device)
        index = torch.accelerator.current_device_index() if named.index is None else named.index
        self._device = torch.device(named.type, index)

    def event(self) -> Any:
        return torch.Event(self._device, enable_timing=True)

    def record(self, event: Any) -> None:
        # Without a stream torch takes that of the current device, which can be another one.
        event.record(torch.accelerator.current_stream(self._device))

    def passed(self, event: Any) -> bool:
        return bool(event.query())

    def elapsed_s(self, begin: Any, end: Any) -> float:
        try:
            return float(begin.elapsed_time(end)) / 1e3
        except RuntimeError as error:
            # Metal's stamps of two events with nothing between them can be equal or swapped, which torch refuses.
            if "was not recorded after" not in str(error):
                raise
            return 0.0

    def synchronize(self) -> None:
        torch.accelerator.synchronize(self._device)

    def flush(self) -> None:
        waste(self._device).zero_()

    def hold(self) -> None:
        a, out = burden(self._device)
        torch.mm(a, a, out=out)


@cache
def waste(device: torch.device) -> Tensor:
    """The buffer that a flush of the device's cache writes, one a process."""
    return torch.empty(flush_bytes(device), dtype=torch.uint8, device=device)


@cache
def burden(device: torch.device) -> tuple[Tensor, Tensor]:
    """The factor and the result of the product that holds a device, one of each a process."""
    return torch.zeros(HOLD_N, HOLD_N, device=device), torch.zeros(HOLD_N, HOLD_N, device=device)


def flush_bytes(device: torch.device) -> int:
    """Bytes to write so that nothing else is left in the device's last cache."""
    if device.type == "cpu":
        size = last_cache_bytes()
        return FLUSH_TIMES * size if size else FLUSH_BYTES
    read = getattr(torch.get_device_module(device), "get_device_properties", None)
    # ROCm tells the L2 of one die and leaves out the cache behind it.
    if read is None or torch.version.hip is not None:
        return FLUSH_BYTES
    properties = read(device)
    size = getattr(properties, "L2_cache_size", None) or getattr(properties, "last_level_cache_size", None)
    return FLUSH_TIMES * size if size else FLUSH_BYTES


def clock_for(device: str, cache: str = WARM) -> Clock:
    """The clock of a device, "cpu" or whatever torch.accelerator has, of calls that find a warm or a cold cache."""
    named = torch.device(device)
    if named.type == "cpu":
        return HostClock(flush=None if cache == WARM else partial(_written, named))
    return DeviceClock(TorchDevice(device), cache=cache)


def _written(device: torch.device) -> None:
    waste(device).zero_()
