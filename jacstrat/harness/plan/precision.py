"""The dtypes of a sweep, and TF32: float32 numbers whose products round both factors to 11 bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import torch

TF32 = "tf32"
DTYPES: Mapping[str, torch.dtype] = MappingProxyType(
    {
        "float64": torch.float64,
        "float32": torch.float32,
        TF32: torch.float32,
        "float16": torch.float16,
        "bfloat16": torch.bfloat16,
    }
)


def missing_tf32(device: str, here: bool = True) -> str | None:
    """Why a device cannot compute in TF32; None where it can.

    Args:
        device: Its name, "cuda" or "cuda:1"; it must be here where `here` says so.
        here: Ask the device. Else every cuda device is taken to be one that can.
    """
    kind, _, index = device.partition(":")
    if kind == "cuda" and (not here or _has_tf32(int(index or torch.cuda.current_device()))):
        return None
    return f"tf32 needs a cuda device with TF32, an NVIDIA one of compute capability 8.0 or more; {device} has none"


def _has_tf32(index: int) -> bool:
    with torch.cuda.device(index):
        return torch.cuda.is_tf32_supported()


@contextmanager
def float32_products(tf32: bool) -> Iterator[None]:
    """Matrix products and convolutions of float32 in TF32, or strictly in float32; what was before comes back.

    Left alone, cuDNN convolves float32 in TF32, and a module that was imported may have allowed it for all else.
    On the CPU they are strictly in float32 either way.
    """
    precision = "tf32" if tf32 else "ieee"
    backends: Any = torch.backends
    on_card = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
    on_cpu = (backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn)
    before = [(operation, operation.fp32_precision) for operation in (*on_card, *on_cpu)]
    # The older switches must agree with the newer ones, or torch raises where anybody, torch.compile say, reads them.
    matmul, cudnn = _read(torch.get_float32_matmul_precision), _read(lambda: backends.cudnn.allow_tf32)
    try:
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        backends.cudnn.allow_tf32 = tf32
        for operation in on_card:
            operation.fp32_precision = precision
        for operation in on_cpu:
            operation.fp32_precision = "ieee"
        yield
    finally:
        if matmul is not None:
            torch.set_float32_matmul_precision(matmul)
        if cudnn is not None:
            backends.cudnn.allow_tf32 = cudnn
        for operation, value in before:
            operation.fp32_precision = value


def _read(switch: Callable[[], Any]) -> Any:
    """The value of an older switch; None where newer ones contradict it, and torch raises."""
    try:
        return switch()
    except RuntimeError:
        return None
