"""Triton: whether it is there, and kernels from text."""

from __future__ import annotations

import hashlib
import importlib.util
import linecache
import os
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

# Why there are no kernels, where Triton is missing.
NO_TRITON = "Triton is not installed; pip install 'jacstrat[triton]'"


def has_triton() -> bool:
    """Whether Triton can be imported; it is not."""
    return importlib.util.find_spec("triton") is not None


def interprets() -> bool:
    """Whether Triton executes kernels itself, on tensors of the CPU, as $TRITON_INTERPRET asks for."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def fault_of(device: torch.device) -> str:
    """Why kernels cannot work on tensors of a device; "" where they can."""
    if not has_triton():
        return NO_TRITON
    if interprets() and device.type == "cpu":
        return ""
    if device.type != "cuda":
        return f"its kernels are for CUDA and ROCm, and x is on {device.type}"
    if torch.version.hip is None and torch.cuda.get_device_capability(device) < (7, 0):
        return f"its kernels need compute capability 7.0, and {torch.cuda.get_device_name(device)} has less"
    return ""


def has_kernels(device: torch.device) -> bool:
    """Whether kernels are executed by a device, and not by an interpreter."""
    return not interprets() and not fault_of(device)


def is_out_of_resources(error: Exception) -> bool:
    """Whether a launch failed because the device has less shared memory, or fewer registers, than a program takes."""
    from triton.runtime.errors import OutOfResources

    return isinstance(error, OutOfResources)


def on_device_of(x: Tensor) -> AbstractContextManager[object]:
    """Triton launches on the device that is current: it is made that of x where it is another one."""
    if not x.is_cuda or x.device.index == torch.cuda.current_device():
        return nullcontext()
    return torch.cuda.device(x.device)


def kernel(text: str) -> Any:
    """The kernel of a module's text, the same for the same text."""
    return _kernel(text, interprets())


@lru_cache(maxsize=256)
def _kernel(text: str, interpreted: bool) -> Any:
    """Triton reads the lines of a kernel again; `linecache` has them, under a name that tells them apart."""
    name = f"<jacstrat fused {hashlib.sha256(text.encode()).hexdigest()[:16]}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    module: dict[str, Any] = {"__name__": "jacstrat.fused.generated"}
    exec(compile(text, name, "exec"), module)
    return module["kernel"]
