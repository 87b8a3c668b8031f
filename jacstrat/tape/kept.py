"""The tapes of one function, by shape, dtype and device of x, made when they are first asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from jacstrat.tape.record import Untraceable, record
from jacstrat.tape.tape import Tape

# Shapes whose tapes are kept; tapes are small, but shapes may be without end.
KEPT = 32

T = TypeVar("T")


class Tapes(Generic[T]):
    """What is made of the tape of a function at each shape of its points.

    Args:
        f: Row-wise function.
        made: From a tape, and points like those that it is for, to what is kept.
        words: Operations to be recorded in other words, see `record`.
    """

    def __init__(
        self,
        f: Callable[[Tensor], Tensor],
        made: Callable[[Tape, Tensor], T],
        words: Mapping[Any, Callable[..., Any]] | None = None,
    ) -> None:
        self.f = f
        self.made = made
        self.words = words or {}
        self._kept: OrderedDict[Any, T | Untraceable] = OrderedDict()

    def at(self, x: Tensor) -> T | Untraceable:
        """What is kept for points like x, or why there is no tape."""
        key = (x.shape, x.dtype, x.device)
        if (found := self._kept.get(key)) is not None:
            return found
        try:
            found = self.made(record(self.f, x, self.words), x)
        except Untraceable as reason:
            found = reason
        if not torch._C._are_functorch_transforms_active():
            self._kept[key] = found
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found
