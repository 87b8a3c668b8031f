"""What is done to sparse tangents beside the rules: brought to other directions, spread over all n, summed into them.

See `sparse` for what a support is, and who makes a plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from jacstrat.taylor.jet import Jet, aligned
from jacstrat.taylor.rule import TaylorCall


@dataclass(frozen=True, eq=False)
class Aligned:
    """Tangents in other local directions.

    Fields:
        rows: Which direction stands at each place, the same for every entry; s, one beyond the last, for none.
        index: The same by entry, where it differs; then `rows` is empty.
        rank: Of the result without its first axis.
    """

    rows: tuple[int, ...]
    index: Tensor | None
    rank: int

    def on(self, device: torch.device) -> Aligned:
        return self if self.index is None else replace(self, index=self.index.to(device))

    def __call__(self, v: Jet) -> Jet:
        t = aligned(local(v), self.rank)
        s = len(t)
        if self.index is None:
            if self.rows != tuple(range(s)):
                added = len(self.rows) - s
                if self.rows == (*range(s), *(s,) * added):
                    t = torch.cat((t, t.new_zeros(added, *t.shape[1:])))
                else:
                    parts = torch.cat((t, t.new_zeros(1, *t.shape[1:])))
                    t = torch.stack([parts[row] for row in self.rows])
            return Jet(v.value, t, v.laplacian)
        shape = torch.broadcast_shapes(t.shape[1:], self.index.shape[1:])
        t = torch.cat((t, t.new_zeros(1, *t.shape[1:]))).expand(s + 1, *shape)
        return Jet(v.value, t.gather(0, self.index.expand(-1, *shape)), v.laplacian, owned=True)


@dataclass(frozen=True, eq=False)
class Spread:
    """Tangents in all n directions, from those of a support."""

    support: Tensor
    n: int

    def on(self, device: torch.device) -> Spread:
        return replace(self, support=self.support.to(device))

    def __call__(self, v: Jet) -> Jet:
        t = local(v)
        shape = torch.broadcast_shapes(t.shape[1:], self.support.shape[1:])
        t, index = t.expand(len(t), *shape), self.support.expand(-1, *shape)
        return Jet(v.value, t.new_zeros(self.n + 1, *shape).scatter(0, index, t)[1:], v.laplacian, owned=True)


@dataclass(frozen=True, eq=False)
class Summed:
    """A sum or mean over axes (negative), from the directions of a support into all n."""

    support: Tensor
    n: int
    axes: tuple[int, ...]
    keepdim: bool
    is_mean: bool

    def on(self, device: torch.device) -> Summed:
        return replace(self, support=self.support.to(device))

    def __call__(self, call: TaylorCall) -> Jet:
        v = call.args[0]
        y = call.op(v.value, *call.args[1:], **call.kwargs)
        laplacian = None if v.laplacian is None else call.op(v.laplacian, *call.args[1:], **call.kwargs)
        t = local(v)
        shape = torch.broadcast_shapes(t.shape[1:], self.support.shape[1:])
        for axis in self.axes:  # which may have length 1, where nothing changes along it
            shape = torch.Size((*shape[:axis], v.value.shape[axis], *shape[len(shape) + axis + 1 :]))
        t = merged_in_front(t.expand(len(t), *shape), self.axes)
        index = self.support
        for axis in self.axes:
            sizes = [-1] * index.dim()
            sizes[axis] = v.value.shape[axis]
            index = index.expand(sizes)
        index = merged_in_front(index, self.axes)
        total = t.new_zeros(self.n + 1, *t.shape[1:])
        if index.numel() == len(index):
            total = total.index_add(0, index.flatten(), t)
        else:
            total = total.scatter_add(0, index.expand(-1, *t.shape[1:]), t)
        total = total[1:]
        if self.is_mean:
            total = total / (v.value.numel() / max(y.numel(), 1))
        if self.keepdim:
            for axis in sorted(self.axes):
                total = total.unsqueeze(axis + v.value.dim() + 1)
        return Jet(y, total, laplacian, owned=True)


class Instead(Protocol):
    """What is done in place of a rule."""

    def on(self, device: torch.device) -> Instead:
        """The same with its tensors on a device."""

    def __call__(self, call: TaylorCall) -> Jet:
        """The result of an operation."""


@dataclass(frozen=True, eq=False)
class SparsePlan:
    """What is to be done beside an operation's rule.

    Fields:
        before: What becomes of arguments, by slot.
        instead: What is done in place of the rule.
    """

    before: Mapping[int, Aligned | Spread]
    instead: Instead | None = None

    def on(self, device: torch.device) -> SparsePlan:
        """The same with its tensors on a device."""
        before = {slot: one.on(device) for slot, one in self.before.items()}
        return SparsePlan(before, None if self.instead is None else self.instead.on(device))


def local(v: Jet) -> Tensor:
    """The tangents of a value with support; those of x, with itself as support, are 1."""
    if not v.is_point:
        assert v.tangents is not None
        return v.tangents
    return v.value.new_ones((1,) * v.value.dim() + v.value.shape[-1:])


def merged_in_front(t: Tensor, axes: tuple[int, ...]) -> Tensor:
    """(K, ...) with some axes of the value merged into the first."""
    first = sorted(axis + t.dim() for axis in axes)
    rest = [axis for axis in range(1, t.dim()) if axis not in first]
    return t.permute(0, *first, *rest).reshape(-1, *(t.shape[axis] for axis in rest))
