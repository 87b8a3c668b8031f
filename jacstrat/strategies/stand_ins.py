"""Tensors that stand in for others in whatever is computed within, which are not written to: other threads see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from jacstrat.trace.tracers import Watch

# Of what is asked of a tensor itself, what has its numbers.
_NUMBERS = frozenset(("data", "T", "H", "mT", "mH", "real", "imag"))


class StandIns(Watch):
    """Gives an operation other tensors in place of some of its arguments, also where these stand in lists.

    Args:
        originals: Tensors, by identity.
        others: As many, of the same shapes.

    Not seen are tensors that a program of TorchScript holds, and those that a custom autograd.Function has saved.
    """

    def __init__(self, originals: Sequence[Tensor], others: Sequence[Tensor]) -> None:
        super().__init__()
        self._others = {id(one): other for one, other in zip(originals, others, strict=True)}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") == "__get__" and func.__self__.__name__ not in _NUMBERS:
            return func(*args, **kwargs)
        return func(*map(self._of, args), **{name: self._of(value) for name, value in kwargs.items()})

    def _of(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._others.get(id(value), value)
        return type(value)(map(self._of, value)) if type(value) in (list, tuple) else value
