"""A guard of the numbers of tensors that a proof looked at, such as an index that a function holds.

A tape follows what is written into a tensor; which entries of a Jacobian can be other than zero does not. So a proof
that looked at an index is no proof any more when that is written to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class NumbersGuard:
    """Tensors, and their numbers as they were.

    Fields:
        tensors: As the function holds them.
        before: Copies; None of those on an accelerator that count their writes, where a comparison would wait for it.
        versions: How often each had been written to; -1 of one of inference mode, which does not count.
    """

    tensors: tuple[Tensor, ...]
    before: tuple[Tensor | None, ...]
    versions: tuple[int, ...]

    @classmethod
    def of(cls, tensors: Iterable[Tensor]) -> NumbersGuard | None:
        """That of tensors as they are now; None of none."""
        held = tuple({id(tensor): tensor for tensor in tensors}.values())
        copies = tuple(one.detach().clone() if one.device.type == "cpu" or one.is_inference() else None for one in held)
        return cls(held, copies, tuple(map(_version, held))) if held else None

    def change(self) -> str | None:
        """The first tensor whose numbers are others, in words; None where all are as they were.

        Cost: about 2 microseconds a tensor on the CPU; on an accelerator, where it goes by the count of writes, which
        leaves out those through `.data`, a tenth of one.
        """
        for tensor, before, version in zip(self.tensors, self.before, self.versions, strict=True):
            same = _version(tensor) == version if before is None else torch.equal(tensor, before)
            if not same:
                kind = str(tensor.dtype).removeprefix("torch.")
                return f"what stands in a tensor of shape {tuple(tensor.shape)}, {kind}, which its proof looked at,"
        return None


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version
