"""Peak memory of a piece of work, above what was resident before it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from jacstrat.zeros import called, tensors_in

# Devices on which no allocator keeps statistics.
STORED = ("cpu", "meta")


class StorageMode(TorchDispatchMode):
    """Tracks the bytes of tensor storage alive that was made under this mode; `peak_bytes` is their maximum.

    Works where no allocator keeps statistics: on the CPU and on the meta device. A storage that is first seen as an
    input was resident and does not count; a view does not count twice. What an operation takes and gives back within
    itself (workspaces of a convolution or a sort) never reaches dispatch and cannot be seen.

    Forward mode has tangents known to be zero, which name a size and have no storage, and finds shapes by helpers on
    the meta device in a computation that runs elsewhere: neither is memory.

    Args:
        device: The type of device whose bytes count.
    """

    def __init__(self, device: str = "cpu") -> None:
        super().__init__()
        self.peak_bytes = 0
        self._device = device
        self._alive = 0
        # Storage address -> (weak reference, bytes); bytes are 0 for what was resident. The reference's callback
        # frees the entry before the address can be used again.
        self._seen: dict[int, tuple[weakref.ref, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in tensors_in(args, kwargs):
            self._note(tensor, is_output=False)
        out = called(func, args, kwargs)
        for tensor in tensors_in(out):
            self._note(tensor, is_output=True)
        return out

    def _note(self, tensor: Tensor, is_output: bool) -> None:
        if tensor.layout is not torch.strided:
            # Sparse tensors have no storage of their own; what they are made of passes dispatch, too.
            return
        storage = tensor.untyped_storage()
        address = storage._cdata
        if address in self._seen:
            return
        is_held = is_output and tensor.device.type == self._device and not tensor._is_zerotensor()
        size = storage.nbytes() if is_held else 0
        self._seen[address] = (weakref.ref(storage, lambda _: self._free(address)), size)
        self._alive += size
        self.peak_bytes = max(self.peak_bytes, self._alive)

    def _free(self, address: int) -> None:
        self._alive -= self._seen.pop(address)[1]


def peak_bytes(work: Callable[[], object], device: str) -> int:
    """The most bytes that one call of `work` holds at once on the device, its result included.

    On an accelerator the allocator's peak above what was allocated before: with what operations take and give back
    within themselves, which dispatch does not see, such as the converted copy that a sum of whole numbers makes, or the
    workspace of a solver. What libraries keep from their first call on is left out: the work is called once before.
    Elsewhere tensor storage, see StorageMode.
    """
    kind = torch.device(device).type
    if kind in STORED:
        with StorageMode(kind) as mode:
            work()
        return mode.peak_bytes
    work()
    torch.accelerator.synchronize()
    torch.accelerator.reset_peak_memory_stats()
    resident = torch.accelerator.memory_allocated()
    result = work()
    torch.accelerator.synchronize()
    peak = torch.accelerator.max_memory_allocated() - resident
    del result
    return int(peak)
