"""What serves direct calls: entries by what a function is, bounded in number and in the bytes that they keep alive."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from torch import Tensor

from jacstrat.strategies.opened import Opened, is_same
from jacstrat.strategies.prepared import Prepared
from jacstrat.trace.arguments import LARGEST, Args, Function

# Functions that are kept, and bytes of the parameters that those with a recording keep alive: the latest one may have
# MOST_BYTES, all together ALL_BYTES.
MOST_ENTRIES, ALL_BYTES, MOST_BYTES = 64, 2**28, 2**30
# Integers of a function that is called itself, by which it may take another way: so many are held against a witness.
INTEGERS = 4


class Live:
    """A function, and a weight that is one, as an argument of what calls them."""

    __slots__ = ("f", "weight")

    def __init__(self, f: Function, weight: Any) -> None:
        self.f, self.weight = f, weight


class CachedEntry:
    """What serves the functions of one key.

    Fields:
        prepared: For (x, *args), with f itself as one more argument where `values` is None.
        values: Those of f that it was recorded with.
        places: Of the values that are further arguments instead.
        number_of_bytes: Of what it keeps alive.
        integers: Those that f had when it was held against a witness.
        is_apart: The values that change cannot be inputs.
    """

    __slots__ = ("integers", "is_apart", "number_of_bytes", "places", "prepared", "values")

    def __init__(self, prepared: Prepared, opened: Opened, is_live: bool, places: frozenset[int] = frozenset()) -> None:
        self.prepared, self.places = prepared, places
        self.values = None if is_live else opened.values
        kept_bytes = prepared.contraction.kept_bytes
        self.number_of_bytes = 0 if is_live else bytes_of(opened) + (kept_bytes() if kept_bytes else 0)
        self.integers = {integers_of(opened)}
        self.is_apart = False

    def arguments(self, f: Function, weight: Any, opened: Opened) -> Args | None:
        """What it takes beside those of f; None where it cannot serve it."""
        if self.values is None:
            return (Live(f, weight),) if self._is_trusted(opened) else None
        if self.others(opened):
            return None
        try:
            return inputs(opened, self.places) if self.places else ()
        except ValueError:  # a number is too large for one
            return None

    def _is_trusted(self, opened: Opened) -> bool:
        integers = integers_of(opened)
        return not integers or integers in self.integers or len(self.integers) >= INTEGERS

    def others(self, opened: Opened) -> frozenset[int]:
        """Places of values that are not those that it was recorded with, and no inputs."""
        assert self.values is not None
        return frozenset(
            k
            for k, now in enumerate(opened.values)
            if now is not self.values[k] and k not in self.places and not is_same(now, self.values[k])
        )


class EntryCache:
    """The latest entries by key."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Hashable, CachedEntry] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> CachedEntry | None:
        with self._lock:
            if (entry := self._entries.get(key)) is not None:
                self._entries.move_to_end(key)
            return entry

    def keep(self, key: Hashable, entry: CachedEntry) -> None:
        with self._lock:
            self._entries.pop(key, None)
            if entry.number_of_bytes > MOST_BYTES:
                return
            self._entries[key] = entry
            total = sum(one.number_of_bytes for one in self._entries.values())
            while len(self._entries) > 1 and (len(self._entries) > MOST_ENTRIES or total > ALL_BYTES):
                total -= self._entries.popitem(last=False)[1].number_of_bytes

    def drop(self, key: Hashable) -> None:
        with self._lock:
            self._entries.pop(key, None)

    def forget(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()


TABLE = EntryCache()


def inputs(opened: Opened, places: frozenset[int]) -> Args:
    """Values as further arguments: numbers as fractions, tensors with an axis in front, by which they are of no rows.

    Raises:
        ValueError: An integer is no fraction.
    """
    return tuple(_input(opened.values[k]) for k in sorted(places))


def _input(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.unsqueeze(0) if value.dim() else value
    if not isinstance(value, float) and abs(int(value)) > LARGEST:
        raise ValueError(f"{value} is no fraction")
    return float(value)


def integers_of(opened: Opened) -> tuple[int, ...]:
    return tuple(value for value in opened.values if not isinstance(value, (float, Tensor)))


def bytes_of(opened: Opened) -> int:
    """Of parameters and buffers, and of tensors that f closes over, each once."""
    stored = [tensor for module in opened.modules for tensor in (*module.parameters(), *module.buffers())]
    tensors = {id(one): one for one in (*stored, *opened.values) if isinstance(one, Tensor)}
    return sum(one.numel() * one.itemsize for one in tensors.values())
