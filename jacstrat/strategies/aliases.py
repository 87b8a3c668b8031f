"""Other tensors in the place of those that a function closes over, with their memory and without their history.

A gradient ends in a leaf by a node that torch keeps for it as long as some graph has it, and with the stream on which
it was made. Work that is captured with such a node waits for that stream, which no capture allows: a loss of an earlier
step that is still alive would be in the way. An alias is a leaf of its own, known to the captured work alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_map_only

from jacstrat.trace.tracers import Watch, function_modes


class Aliases(Watch):
    """While it is entered torch's functions are given aliases where they are called with the originals.

    Not by what takes its tensors past them, such as a custom autograd.Function: there the original is read.
    """

    def __init__(self, originals: Iterable[Tensor]) -> None:
        super().__init__()
        # Originals are kept: an identity is one only as long as its tensor lives.
        self._of = {id(one): (one, one.detach().requires_grad_(one.requires_grad)) for one in originals}

    def of(self, tensor: Tensor) -> Tensor:
        """The alias of a tensor; itself where it has none."""
        alias = self._of.get(id(tensor))
        return tensor if alias is None else alias[1]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*tree_map_only(Tensor, self.of, args), **tree_map_only(Tensor, self.of, kwargs or {}))


def aliased(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Tensors as torch's functions would be given them now: by the innermost aliases that are entered."""
    modes = [mode for mode in function_modes() if isinstance(mode, Aliases)]
    return tuple(map(modes[-1].of, tensors)) if modes else tuple(tensors)
