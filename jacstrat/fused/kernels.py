"""Triton: whether it is there, kernels from text, and their launches."""

from __future__ import annotations

import hashlib
import importlib.util
import linecache
import os
from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

# Why there are no kernels, where Triton is missing.
NO_TRITON = "Triton is not installed; pip install 'jacstrat[triton]'"
# What Triton takes a pointer as aligned by.
ALIGNED_BYTES = 16
# Kinds of launches that are known of a kernel at a time.
MOST_COMPILED = 64


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


class Kernel:
    """A kernel, and what was compiled of it.

    Triton looks at every argument of a launch in Python, to find what it compiled for such arguments, which takes the
    host several times as long as the launch. Here what was compiled is found by few steps, and launched by itself.

    Attributes:
        function: As Triton has it, which compiles.
    """

    def __init__(self, function: Any, interpreted: bool) -> None:
        self.function, self._interpreted = function, interpreted
        self._compiled: dict[Hashable, Any] = {}

    def launch(
        self,
        grid: tuple[int, ...],
        tensors: Sequence[Tensor],
        numbers: Sequence[int],
        constants: Mapping[str, Any],
        warps: int,
    ) -> None:
        """Start the kernel on the device that is current; its arguments are tensors, numbers, and constants at last.

        Args:
            grid: Programs along one axis to three.
            tensors: Where it reads and writes, all on that device.
            numbers: Whole ones.
            constants: By name, in the order of its signature.
            warps: Of a program.
        """
        if self._interpreted:
            self.function[grid](*tensors, *numbers, **constants)
            return
        # What Triton compiles apart: types, pointers that are aligned, all numbers and constants. A module is loaded on
        # one device.
        aligned = [one.data_ptr() % ALIGNED_BYTES == 0 for one in tensors]
        types = [one.dtype for one in tensors]
        key = (tensors[0].device, warps, *numbers, *constants.values(), *types, *aligned)
        if (compiled := self._compiled.get(key)) is not None:
            compiled[(*grid, 1, 1)[:3]](*tensors, *numbers, *constants.values())
            return
        if len(self._compiled) == MOST_COMPILED:
            self._compiled.clear()
        options = {"num_warps": warps, "enable_fp_fusion": True}
        self._compiled[key] = self.function[grid](*tensors, *numbers, **constants, **options)


def kernel(text: str) -> Kernel:
    """The kernel of a module's text, the same for the same text."""
    return _kernel(text, interprets())


@lru_cache(maxsize=256)
def _kernel(text: str, interpreted: bool) -> Kernel:
    """Triton reads the lines of a kernel again; `linecache` has them, under a name that tells them apart."""
    name = f"<jacstrat fused {hashlib.sha256(text.encode()).hexdigest()[:16]}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    module: dict[str, Any] = {"__name__": "jacstrat.fused.generated"}
    exec(compile(text, name, "exec"), module)
    return Kernel(module["kernel"], interpreted)
