"""Ranges that name what runs, for a profiler that looks on from outside, as NVIDIA's Nsight does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

Ranges = Callable[[str], AbstractContextManager[object]]


def ranges_for(device: torch.device) -> Ranges:
    """What names a range on a device: NVTX on CUDA, which ROCm has as roctx; nothing elsewhere.

    A range costs the host less than a microsecond, and stands around blocks of calls and outside of what is timed.
    """
    return _nvtx if device.type == "cuda" and torch.cuda.is_available() else nullcontext


@contextmanager
def _nvtx(name: str) -> Iterator[None]:
    torch.cuda.nvtx.range_push(name)
    try:
        yield
    finally:
        torch.cuda.nvtx.range_pop()
