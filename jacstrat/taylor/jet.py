"""The jet of a tensor: its value, its tangents and its Laplacian, and the sums that every rule is made of.

For v(x), x of n coordinates, and K directions d_k: tangents_k = Dv[d_k], laplacian = sum_k D2v[d_k, d_k]. With the unit
vectors, or any D with D^T D = I, the sum is the Laplacian of every entry of v.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Jet:
    """A value and its derivatives along K directions.

    Fields:
        value: v, of any shape.
        laplacian: sum_k D2v[d_k, d_k], shaped as v; None where it is zero.
        owned: Whether no other tensor shares the storage of the tangents, so that they may be overwritten.
        is_point: Whether v is x itself and the directions are the unit vectors, of which a product needs no copy.
    """

    __slots__ = ("_tangents", "is_point", "laplacian", "owned", "value")

    def __init__(
        self,
        value: Tensor,
        tangents: Tensor | None,
        laplacian: Tensor | None = None,
        owned: bool = False,
        is_point: bool = False,
    ) -> None:
        self.value = value
        # Two types meet where one tensor has no axes: the value's decides.
        self._tangents = tangents if tangents is None or tangents.dtype == value.dtype else tangents.to(value.dtype)
        self.laplacian = laplacian
        self.owned = owned
        self.is_point = is_point

    @property
    def directions(self) -> int:
        """K."""
        return self.value.shape[-1] if self._tangents is None else self._tangents.shape[0]

    @property
    def tangents(self) -> Tensor | None:
        """Dv[d_k], (K, ...) with the axes of v behind; an axis along which they do not change may have length 1.

        So what does not depend on the point is not repeated for each. None where they are not needed any more.
        """
        if self._tangents is None and self.is_point:
            self._tangents = unit_tangents(self.value)
        return self._tangents

    @tangents.setter
    def tangents(self, tangents: Tensor | None) -> None:
        self._tangents, self.is_point = tangents, False

    def full(self, *axes: int) -> Tensor:
        """The tangents with the given axes of v (negative; all where none is given) at their full length."""
        assert self.tangents is not None
        return full(self.tangents, self.value.shape, axes)


def unit_tangents(x: Tensor) -> Tensor:
    """The unit vectors as tangents of x, (n, n) for a point, (n, 1, n) for points."""
    n = x.shape[-1]
    return torch.eye(n, dtype=x.dtype, device=x.device).view(n, *(1,) * (x.dim() - 1), n)


def full(tangents: Tensor, shape: torch.Size, axes: tuple[int, ...] = ()) -> Tensor:
    """Tangents of a value of this shape with the given axes (negative; all where none is given) at full length."""
    sizes = list(tangents.shape)
    for axis in axes or range(-len(shape), 0):
        sizes[axis] = shape[axis]
    return tangents if sizes == list(tangents.shape) else tangents.expand(sizes)


def aligned(tangents: Tensor, rank: int) -> Tensor:
    """Tangents with axes of length 1 behind the first, so that they broadcast with those of a value of this rank."""
    missing = rank + 1 - tangents.dim()
    return tangents.view(tangents.shape[0], *(1,) * missing, *tangents.shape[1:]) if missing else tangents


def sum_of_squares(tangents: Tensor) -> Tensor:
    """sum_k t_k^2."""
    return (tangents * tangents).sum(0)


def plus(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """a + b, where None is zero."""
    if a is None or b is None:
        return b if a is None else a
    return a + b


def shaped(laplacian: Tensor | None, value: Tensor) -> Tensor | None:
    """A Laplacian in the shape of its value; it may come broadcastable, where nothing in it depends on the point."""
    return laplacian if laplacian is None or laplacian.shape == value.shape else laplacian.expand(value.shape)


def depends(argument: Any) -> bool:
    """Whether an argument of an operation depends on x."""
    return isinstance(argument, Jet)


def value_of(argument: Any) -> Any:
    """The value of a jet; anything else as it is."""
    return argument.value if isinstance(argument, Jet) else argument
