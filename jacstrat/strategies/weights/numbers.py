"""The numbers of a weight: whether they are what they were, and brought to where points are."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from jacstrat.core.errors import UsageError
from jacstrat.strategies.points import outside_transforms


class WeightNumbers(NamedTuple):
    """The numbers of a weight at one time.

    On the host they are compared, so that what is written past the version (`.data`, numpy) is seen, too. To read them
    on a device would wait for it at each call, and cannot be in a graph: there the version and the address tell.
    """

    host: Tensor | None
    version: int
    address: int

    @classmethod
    def of(cls, weight: Any) -> WeightNumbers:
        """Those that it has now."""
        now = array_of(weight).detach()
        return cls(now.clone() if now.is_cpu else None, *_written(now))

    def are_those_of(self, weight: Any) -> bool:
        """Whether it has them still."""
        now = array_of(weight)
        if self.host is None:
            return (self.version, self.address) == _written(now)
        with outside_transforms():
            return now.shape == self.host.shape and torch.equal(now, self.host)


def _written(tensor: Tensor) -> tuple[int, int]:
    return 0 if tensor.is_inference() else tensor._version, tensor.data_ptr()


def array_of(weight: Any) -> Tensor:
    """A weight that is no function as a tensor; numbers of Python have all their digits, whatever torch's default."""
    if isinstance(weight, tuple):
        return torch.tensor(weight, dtype=torch.float64, device="cpu")
    return weight if isinstance(weight, Tensor) else torch.as_tensor(weight, device="cpu")


def real_numbers(weight: Any, is_meta: bool) -> Tensor:
    """A weight that is no function as a tensor.

    Args:
        weight: As it was given.
        is_meta: Points have no numbers either.

    Raises:
        UsageError: It is sparse, or has no real numbers; says what to give.
    """
    try:
        A = array_of(weight)
    except (TypeError, ValueError) as error:
        raise UsageError(f"weight must have real numbers, got an array of {weight.dtype}") from error
    if A.layout != torch.strided:
        raise UsageError(f"weight must be dense, got layout {A.layout}; give weight.to_dense()")
    if A.is_meta and not is_meta:
        raise UsageError("weight must have numbers, and is on the meta device")
    if A.is_complex():
        raise UsageError(f"weight must have real numbers, got {A.dtype}; the operator is linear in it, so take two")
    return A


def near(A: Tensor, x: Tensor) -> Tensor:
    """A in the dtype and on the device of x."""
    return A.to(dtype=x.dtype, device=x.device)


def block(A: Tensor, S: tuple[int, ...] | None, is_diagonal: bool) -> Tensor:
    """A of the coordinates S alone."""
    if S is None:
        return A
    places = torch.tensor(S, device=A.device)
    A = A.index_select(-1, places)
    return A if is_diagonal else A.index_select(-2, places)
