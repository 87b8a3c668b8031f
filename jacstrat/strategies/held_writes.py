"""Whether f writes into tensors that it holds: running statistics, vectors of a power iteration, a counter, a cache."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from jacstrat.trace.tracers import Watch


class HeldWrites(Watch):
    """Sees which tensors a function holds, and whether it writes into one.

    Args:
        points: What it is called with, which it does not hold.
    """

    def __init__(self, *points: Tensor) -> None:
        super().__init__()
        # Alive, so that no other tensor takes their places.
        self._made: dict[int, Tensor] = {id(one): one for one in points}
        self._versions: dict[int, tuple[Tensor, int]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for one in _tensors((args, kwargs)):
            if id(one) not in self._made and id(one) not in self._versions:
                self._versions[id(one)] = one, one._version
        out = func(*args, **kwargs)
        self._made |= {id(one): one for one in _tensors(out) if id(one) not in self._versions}
        return out

    @property
    def seen(self) -> bool:
        """Whether there was a write; what a kernel writes without saying so, as one of batch norm, is not seen."""
        return any(tensor._version != version for tensor, version in self._versions.values())


def _tensors(tree: Any) -> Iterable[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor) and not leaf.is_inference())
