"""What a device does in a second, measured: products of matrices, and bytes to and from its memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch

from jacstrat.graphs import Work
from jacstrat.measure.clocks import Clock
from jacstrat.torch_errors import is_out_of_memory

# Square matrices whose product fills the device, and bytes that are copied: on a CPU as small as will do, since a run
# measures these once for each dtype and number of threads.
CPU_N, DEVICE_N = 512, 4096
CPU_BYTES, DEVICE_BYTES = 2**25, 2**28
# The fastest of a few: whatever else the machine does only adds.
BLOCKS = 3


@dataclass(frozen=True)
class Peaks:
    """The rates that times are held against.

    Fields:
        flops_per_s: Of the product of two large square matrices of a dtype, two operations for each pair of numbers.
        bytes_per_s: Read and written by a copy of an array.
    """

    flops_per_s: float
    bytes_per_s: float

    def compute_s(self, flops: float) -> float:
        """Seconds that so many operations take at the least."""
        return flops / self.flops_per_s

    def memory_s(self, size: float) -> float:
        """Seconds that so many bytes take at the least, from memory: what lies in a cache is faster."""
        return size / self.bytes_per_s

    def light_s(self, flops: float, size: float) -> float:
        """Seconds that work of so many operations on so many bytes takes at the least: the roofline."""
        return max(self.compute_s(flops), self.memory_s(size))

    def to_json(self) -> dict[str, float]:
        return asdict(self)


def measured_peaks(
    clock: Clock, device: str, dtype: torch.dtype, beat: Callable[[], object] = lambda: None
) -> Peaks | None:
    """The rates now, with torch's threads and switches as they are; None where there is no memory, or no time passes.

    Args:
        clock: Of the device.
        device, dtype: Of the numbers.
        beat: Called before each block, so that a busy machine is not taken for a hang.

    Source: Williams, Waterman and Patterson 2009, Roofline: an insightful visual performance model.

    Cost: about 0.1 s on a CPU and 0.05 s on a card, and 2 CPU_BYTES or DEVICE_BYTES of memory.
    """
    is_cpu = torch.device(device).type == "cpu"
    n, size = (CPU_N, CPU_BYTES) if is_cpu else (DEVICE_N, DEVICE_BYTES)
    try:
        a = torch.ones(n, n, dtype=dtype, device=device)
        out = torch.empty_like(a)
        product_s = _least_s(clock, lambda: torch.mm(a, a, out=out), 1 if is_cpu else 5, beat)
        numbers = torch.ones(size, dtype=torch.uint8, device=device)
        copy = torch.empty_like(numbers)
        copy_s = _least_s(clock, lambda: copy.copy_(numbers), 1 if is_cpu else 5, beat)
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            return None
        raise
    return Peaks(2 * n**3 / product_s, 2 * size / copy_s) if product_s > 0 < copy_s else None


def _least_s(clock: Clock, work: Work, calls: int, beat: Callable[[], object]) -> float:
    beat()
    clock.time(work, 1)
    seconds = []
    for _ in range(BLOCKS):
        beat()
        seconds.append(clock.time(work, calls).seconds / calls)
    return min(seconds)
