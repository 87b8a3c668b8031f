"""What is read of a container: its length, its items, the order of its keys; no code of the user runs for it."""

from __future__ import annotations

import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from jacstrat.trace.contents import IMMUTABLE, Items, Keys
from jacstrat.trace.objects import is_plain

# Items of one container that are looked at. CPython has each integer up to 256 once only, so that a length is compared
# by identity.
ITEMS = 256
# Of more than these the items are compared all at once, and what they are made of is not looked at; 30 ns each.
LONG = 20_000
_BASES = (dict, list, tuple, set)

# A template and what is put into it: names, keys, or a place in turn. It becomes words once something has changed.
AccessPath = tuple[Any, ...]
ATTRIBUTE, _ITEM, _LENGTH = "`{}` of {}", "item {!r} of {}", "the length of {}"


class Read(NamedTuple):
    """Something that was read: `read(argument)` gave `value`."""

    read: Callable[[Any], Any]
    argument: Any
    value: Any
    access: AccessPath


class Inside(NamedTuple):
    """An item that is compared with all others at once, and is looked into by itself."""

    value: Any
    access: AccessPath


Found = Iterator[Read | Inside]


def reads_of(value: Any, kind: type, access: AccessPath) -> Found:
    """What is read of a container of this type; nothing of what is none."""
    base = kind if kind in _BASES else next((one for one in _BASES if issubclass(kind, one)), None)
    if base is tuple:
        for index, item in enumerate(list(tuple.__iter__(value))[:ITEMS]):
            yield Inside(item, (_ITEM, index, access))
    elif base is not None:
        yield from _length(value, base, access)
        if 0 < base.__len__(value) <= ITEMS:
            yield from _contents(value, base, access)
    elif (kind is deque or kind is types.MappingProxyType) and len(value) <= LONG:
        yield from _row(value, access)


def reads_of_entries(entries: dict[str, Any], access: AccessPath, owner: str, *, ordered: bool) -> Found:
    """What is read of the parameters, buffers or modules of a module, which are its attributes.

    Args:
        entries: By their names.
        access: How they are reached.
        owner: What the module is called.
        ordered: Whether a loop goes over them, as that of Sequential.
    """
    yield from _length(entries, dict, access)
    yield from _items(entries, ATTRIBUTE, owner)
    if ordered:
        yield from _order(entries, access)


def _contents(value: Any, base: Any, access: AccessPath) -> Found:
    if base is dict:
        yield from _items(value, _ITEM, access)
        yield from _order(value, access)
    elif base is list:
        read = list.__getitem__.__get__(value)
        for index, item in enumerate(list.__iter__(value)):
            yield Read(read, index, item, (_ITEM, index, access))
    elif all(type(item) in IMMUTABLE for item in frozenset(value)):
        yield Read(frozenset(value).__eq__, value, True, access)


def _row(value: Any, access: AccessPath) -> Found:
    """The items of a container all at once, in their order."""
    contents = Items.of(value)
    yield Read(contents.holds, value, True, ("the items of {}", access))
    for index, item in enumerate(contents.items[:ITEMS]):
        yield Inside(item, (_ITEM, index, access))


def _length(value: Any, base: Any, access: AccessPath) -> Found:
    length = base.__len__(value)
    if length > ITEMS:
        yield Read(lambda container: base.__len__(container) == length, value, True, (_LENGTH, access))
        if length <= LONG:
            yield Read(Items.of(value).holds, value, True, ("the items of {}", access))
    else:  # a derived class may have a `__len__` of its own, which is not to run
        yield Read(len if type(value) in (base, OrderedDict) else base.__len__, value, length, (_LENGTH, access))


def _items(value: dict[Any, Any], template: str, owner: str | AccessPath) -> Found:
    read = dict.__getitem__.__get__(value)
    for key, item in dict.items(value):
        if is_plain(key):
            yield Read(read, key, item, (template, key, owner))
    if not all(map(is_plain, dict.keys(value))):  # to look one up is to run the user's `__hash__`
        yield from _row(value, owner if isinstance(owner, tuple) else (owner,))


def _order(value: dict[Any, Any], access: AccessPath) -> Found:
    """The order of plain keys, in which a loop goes over them."""
    keys = Keys.of(value)
    if len(keys.keys) > 1 and all(map(is_plain, keys.keys)):
        yield Read(keys.holds, value, True, ("the order of {}", access))
