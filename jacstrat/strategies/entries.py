"""What serves direct calls: entries by what a function is, bounded in number and in the bytes that they keep alive."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from jacstrat.strategies.opened import Opened, is_same
from jacstrat.strategies.prepared import Prepared
from jacstrat.trace.arguments import LARGEST, Args, Function

if TYPE_CHECKING:
    from jacstrat.strategies.glance import Glance

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
        turn: Of its latest use.
        hits: How often it was found by its key.
    """

    __slots__ = (
        "_fixed",
        "_inputs",
        "hits",
        "integers",
        "is_apart",
        "number_of_bytes",
        "places",
        "prepared",
        "turn",
        "values",
    )

    def __init__(self, prepared: Prepared, opened: Opened, is_live: bool, places: frozenset[int] = frozenset()) -> None:
        self.prepared, self.places = prepared, places
        # In their order, and all others.
        self._inputs = sorted(places)
        self._fixed = [k for k in range(len(opened.values)) if k not in places]
        self.turn = self.hits = 0
        self.values = None if is_live else opened.values
        kept_bytes = prepared.contraction.kept_bytes
        self.number_of_bytes = 0 if is_live else bytes_of(opened) + (kept_bytes() if kept_bytes else 0)
        self.integers = {integers_of(opened.values)}
        self.is_apart = False

    def arguments(self, f: Function, weight: Any, values: tuple[Any, ...]) -> Args | None:
        """What it takes beside those of f, which has these values; None where it cannot serve it."""
        if self.values is None:
            return (Live(f, weight),) if self._is_trusted(values) else None
        before = self.values
        for k in self._fixed:
            if values[k] is not before[k] and not is_same(values[k], before[k]):
                return None
        try:
            return tuple([_input(values[k]) for k in self._inputs])
        except ValueError:  # a number is too large for one
            return None

    def _is_trusted(self, values: tuple[Any, ...]) -> bool:
        integers = integers_of(values)
        return not integers or integers in self.integers or len(self.integers) >= INTEGERS

    def others(self, values: tuple[Any, ...]) -> frozenset[int]:
        """Places of values that are not those that it was recorded with, and no inputs."""
        assert self.values is not None
        return frozenset(k for k in self._fixed if not is_same(values[k], self.values[k]))


class EntryCache:
    """The latest entries by key, and what the latest call of each code is known again by."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, CachedEntry] = {}
        self._glances: dict[Hashable, Glance] = {}
        self._lock = threading.Lock()
        self._turns = itertools.count(1)

    def glance(self, code: Hashable) -> Glance | None:
        """What the latest call of a code may be known again by."""
        if (glance := self._glances.get(code)) is not None:
            glance.entry.turn = next(self._turns)
        return glance

    def keep_glance(self, code: Hashable, glance: Glance) -> None:
        with self._lock:
            if self._entries.get(glance.key) is glance.entry:
                self._glances[code] = glance

    def get(self, key: Hashable) -> CachedEntry | None:
        with self._lock:
            if (entry := self._entries.get(key)) is not None:
                entry.turn = next(self._turns)
            return entry

    def keep(self, key: Hashable, entry: CachedEntry) -> None:
        with self._lock:
            self._entries.pop(key, None)
            if entry.number_of_bytes <= MOST_BYTES:
                self._entries[key] = entry
                entry.turn = next(self._turns)
            total = sum(one.number_of_bytes for one in self._entries.values())
            while len(self._entries) > 1 and (len(self._entries) > MOST_ENTRIES or total > ALL_BYTES):
                oldest = min(self._entries, key=lambda one: self._entries[one].turn)
                total -= self._entries.pop(oldest).number_of_bytes
            self._forget_glances()

    def drop(self, key: Hashable) -> None:
        with self._lock:
            self._entries.pop(key, None)
            self._forget_glances()

    def _forget_glances(self) -> None:
        """Those of entries that are gone: they would keep them alive."""
        kept = self._entries
        self._glances = {code: one for code, one in self._glances.items() if kept.get(one.key) is one.entry}

    def forget(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._glances.clear()


TABLE = EntryCache()


def inputs(opened: Opened, places: frozenset[int]) -> Args:
    """Values as further arguments: numbers as fractions, tensors with an axis in front, by which they are of no rows.

    Raises:
        ValueError: An integer is no fraction.
    """
    return tuple(_input(opened.values[k]) for k in sorted(places))


def _input(value: Any) -> Any:
    if type(value) is float:
        return value
    if isinstance(value, Tensor):
        return value.unsqueeze(0) if value.dim() else value
    if not isinstance(value, float) and abs(int(value)) > LARGEST:
        raise ValueError(f"{value} is no fraction")
    return float(value)


def integers_of(values: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(value for value in values if not isinstance(value, (float, Tensor)))


def bytes_of(opened: Opened) -> int:
    """Of parameters and buffers, and of tensors that f closes over, each once."""
    stored = [tensor for module in opened.modules for tensor in (*module.parameters(), *module.buffers())]
    tensors = {id(one): one for one in (*stored, *opened.values) if isinstance(one, Tensor)}
    return sum(one.numel() * one.itemsize for one in tensors.values())
