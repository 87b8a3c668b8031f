"""What stands in a container, to be compared with what stands there later; no code of the user runs for it."""

from __future__ import annotations

import array
from collections import OrderedDict
from operator import is_
from typing import Any, NamedTuple

import numpy as np
import torch

IMMUTABLE = {int, float, complex, bool, str, bytes, range, type(None), type(...), type(NotImplemented)}
IMMUTABLE |= {torch.dtype, torch.device, torch.layout, torch.memory_format}
# Numbers in a row; their bytes are looked at, up to so many.
BUFFERS = (array.array, bytearray, np.ndarray)
BYTES = 4096


class Items(NamedTuple):
    """The items of a list, a set or a deque, or the values of a mapping, in their order."""

    items: tuple[Any, ...]

    @classmethod
    def of(cls, container: Any) -> Items:
        """Those that it has now."""
        if isinstance(container, dict):  # a derived class may have `values` of its own
            return cls(tuple(dict.values(container)))
        base: Any = next((base for base in (list, set, frozenset) if isinstance(container, base)), None)
        if base is not None:  # and one of these an `__iter__`
            return cls(tuple(base.__iter__(container)))
        return cls(tuple(container.values() if hasattr(container, "values") else container))

    def holds(self, container: Any) -> bool:
        """Whether it has the same objects, or numbers, still."""
        items = Items.of(container).items
        if len(items) != len(self.items):
            return False
        return all(map(is_, items, self.items)) or all(map(_is_alike, items, self.items))


class Keys(NamedTuple):
    """The keys of a dict, in the order in which a loop goes over them."""

    keys: tuple[Any, ...]

    @classmethod
    def of(cls, container: dict[Any, Any]) -> Keys:
        """Those that it has now; an OrderedDict has an order of its own, which is not that of the dict that it is."""
        base: Any = OrderedDict if isinstance(container, OrderedDict) else dict
        return cls(tuple(base.__iter__(container)))

    def holds(self, container: dict[Any, Any]) -> bool:
        """Whether it has these still, in this order."""
        return Keys.of(container).keys == self.keys


class Bytes(NamedTuple):
    """The numbers of an array."""

    text: bytes

    @classmethod
    def of(cls, buffer: Any) -> Bytes | None:
        """Those that it has now; None of one with more than `BYTES`, or of objects."""
        view = memoryview(buffer)
        return None if view.nbytes > BYTES or view.format == "O" else cls(view.tobytes())

    def holds(self, buffer: Any) -> bool:
        """Whether it has these still."""
        return memoryview(buffer).tobytes() == self.text


def _is_alike(item: Any, before: Any) -> bool:
    return item is before or (type(before) in IMMUTABLE and type(item) is type(before) and bool(item == before))
