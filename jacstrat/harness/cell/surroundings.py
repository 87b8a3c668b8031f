"""What surrounds the work of a cell: threads, device, precision and gradients of torch, and the compiler's cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.precision import TF32, float32_products


@contextmanager
def surroundings(cell: Cell) -> Iterator[None]:
    """Threads, device and TF32 as the cell says, gradients tracked only where it trains; what was before comes back."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(cell.threads)
    try:
        # Of several devices the current one: the allocator's peaks, too, are of that.
        index = torch.device(cell.device).index
        with (
            torch.accelerator.device_index(index),
            torch.set_grad_enabled(cell.workload == "train"),
            float32_products(cell.dtype == TF32),
        ):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)


@contextmanager
def kernels_in(cache: Path | None) -> Iterator[None]:
    """Compiled kernels kept in a place of the run: one that finds those of an earlier run would prepare in no time."""
    if cache is None or (name := "TORCHINDUCTOR_CACHE_DIR") in os.environ:
        yield
        return
    os.environ[name] = str(cache / "kernels")
    try:
        yield
    finally:
        del os.environ[name]
