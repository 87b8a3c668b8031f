"""What a device does in a second."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Rates(NamedTuple):
    """What a device does in a second: floating-point operations of matrix products, bytes written by operations."""

    flops: float
    bytes: float


# Fitted to the shipped reference run (results/reference): float64 on one core of the machine that it names.
CPU_THREAD = Rates(flops=30e9, bytes=4e9)
# The order of what data-centre cards publish, a tenth of their peak; nothing was fitted.
ACCELERATOR = Rates(flops=5e12, bytes=5e11)


def rates_of(device: torch.device) -> Rates:
    """Rates of a device; those of a CPU grow with the threads that torch computes with."""
    if device.type in ("cpu", "meta"):
        threads = torch.get_num_threads()
        return Rates(CPU_THREAD.flops * threads, CPU_THREAD.bytes * threads)
    return ACCELERATOR
