"""What a function is, apart from the numbers and the tensors that it closes over, and the function of these.

A loop makes its function anew at each step, with another time, another condition, another object around them. Opened,
it is the same function of other values: closures, globals, defaults, arguments of a `partial`, items of small
containers, attributes of plain objects and of modules of the user's are followed. Which module it is, and whatever is
not understood, is told by identity.
"""

from __future__ import annotations

import functools
import itertools
import types
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn import Module
from torch.nn.parameter import is_lazy

from jacstrat.strategies.attribute_names import AttributeNames, attribute_names, guessed_names
from jacstrat.strategies.parts import (
    BY_VALUE,
    DEPTH,
    VALUES,
    Empty,
    fields_of,
    form_of,
    globals_of,
    kinds_below,
    parts_of,
)
from jacstrat.trace.fingerprint import Same, is_plain_object

# How often names are looked for that may be read of what is met, before all are taken.
ROUNDS = 4


class Opened(NamedTuple):
    """A function as it is now.

    Fields:
        key: All but its values; equal for functions that differ in these alone. Keeps alive what is code.
        values: Numbers and tensors, in the order in which they were met.
        modules: That it has.
        is_exact: Functions of equal keys and values do the same, as far as what they reach by identity does.
        names: Of the attributes that were followed; None for all.
    """

    key: Hashable
    values: tuple[Any, ...]
    modules: tuple[Module, ...]
    is_exact: bool
    names: AttributeNames = None


def opened(f: Callable[..., Any]) -> Opened:
    """f apart from its values; a few microseconds, and some milliseconds for what has code or classes of its own."""
    names = guessed_names(f)
    for _ in range(ROUNDS):
        walk = _OpenedWalk(names)
        walk.see(f, DEPTH)
        # What is met tells which names may be read, and these what is met.
        if not walk.kinds or (known := attribute_names(f, walk.codes, walk.kinds)) == names:
            return walk.opened()
        names = known
    walk = _OpenedWalk(None)
    walk.see(f, DEPTH)
    return walk.opened()


def is_same(value: Any, before: Any) -> bool:
    """Whether a value is the one that it was: the same tensor, the same number to the last bit."""
    if value is before:
        return True
    return not isinstance(value, Tensor) and type(value) is type(before) and repr(value) == repr(before)


class _OpenedWalk:
    """Writes down what is met, each object once."""

    def __init__(self, names: AttributeNames) -> None:
        self.parts: list[Any] = []
        self.values: list[Any] = []
        self.modules: list[Module] = []
        self.codes: set[types.CodeType] = set()
        self.kinds: set[type] = set()
        self._names = names
        self.is_exact = True
        self._seen: dict[int, int] = {}

    def see(self, value: Any, depth: int) -> None:
        kind = type(value)
        if kind is types.ModuleType:
            self.parts.append(value.__name__)
        elif kind in VALUES:
            is_tensor = kind is Tensor
            self.parts += form_of(value) if is_tensor else (kind,)
            self.values.append(value)
        elif kind in BY_VALUE:
            self.parts += (kind, value)
        elif (number := self._seen.get(id(value))) is not None:
            self.parts += (_OpenedWalk, number)  # met before, as within a cycle
        else:
            self._seen[id(value)] = len(self._seen)
            if isinstance(value, Module):
                self.modules.append(value)
            if (inner := parts_of(value, kind, self._names) if depth else None) is None:
                self._identity(value, kind)
            else:
                if kind is types.FunctionType:
                    self.codes.add(value.__code__)
                elif inner.has_fields:
                    self.kinds.add(kind)
                self.parts += inner.form
                for part in inner.items:
                    self.see(part, depth - 1)

    def opened(self) -> Opened:
        """What was met."""
        return Opened(tuple(self.parts), tuple(self.values), tuple(self.modules), self.is_exact, self._names)

    def _identity(self, value: Any, kind: type) -> None:
        if isinstance(value, Tensor) and not is_lazy(value):  # a parameter that was given others by `.data`
            self.parts += form_of(value)
        if isinstance(value, Module):  # with the kinds of its layers: one that is replaced is held against a witness
            self.parts += (value.training, *kinds_below(value))
        try:
            self.parts.append(Same(value))
        except TypeError:  # it cannot be referred to weakly
            self.parts.append(kind)
            self.is_exact = False


class _Hole:
    """Where a value is to be put."""

    def __init__(self, number: int) -> None:
        self.number = number


def closed(f: Callable[..., Any], places: frozenset[int], names: AttributeNames) -> Callable[..., Any]:
    """f as a function (x, *args, *values) of its values at these places too, in their order; fixed in the rest.

    The places and the names are those of f as `opened`.

    It has nothing of f but what is told by identity, and so keeps none of these values. Tensors among them are given
    with an axis of length 1 in front, by which they belong to no rows.
    """
    count, seen = len(places), itertools.count()
    axes: list[int] = []  # of each tensor as f has it

    def emptied(value: Any) -> Any:
        if type(value) not in VALUES or next(seen) not in places:
            return value
        axes.append(value.dim() if isinstance(value, Tensor) else 0)
        return _Hole(len(axes) - 1)

    template = _Copy(emptied, names).of(f, DEPTH)

    def function(x: Any, *args: Any) -> Any:
        pairs = zip(args[-count:], axes, strict=True)
        values = [one.squeeze(0) if isinstance(one, Tensor) and one.dim() > number else one for one, number in pairs]
        copy = _Copy(lambda value: values[value.number] if type(value) is _Hole else value, names)
        return copy.of(template, DEPTH)(x, *args[:-count])

    return function


class _Copy:
    """Makes a function again, of what is not told by identity, in the order of `_OpenedWalk`."""

    def __init__(self, leaf: Callable[[Any], Any], names: AttributeNames) -> None:
        self._leaf, self._names = leaf, names
        self._copies: dict[int, Any] = {}

    def of(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is types.ModuleType:
            return value
        if kind in VALUES or kind is _Hole:
            return self._leaf(value)
        if kind in BY_VALUE or kind is Empty:
            return value
        if id(value) not in self._copies:
            inner = parts_of(value, kind, self._names) if depth else None
            if inner is None:
                self._copies[id(value)] = value
            else:
                self._make(value, kind, inner.items, depth - 1)
        return self._copies[id(value)]

    def _make(self, value: Any, kind: type, items: tuple[Any, ...], depth: int) -> None:
        if kind is types.FunctionType:  # before its parts, which may have it in turn
            cells = tuple(types.CellType() for _ in value.__closure__ or ())
            names = globals_of(value)
            scope = dict(value.__globals__) if names else value.__globals__
            copy = types.FunctionType(value.__code__, scope, value.__name__, None, cells or None)
            self._copies[id(value)] = copy
            *contents, copy.__defaults__, copy.__kwdefaults__, fields = [self.of(item, depth) for item in items]
            for cell, one in zip(cells, contents, strict=False):
                if type(one) is not Empty:
                    cell.cell_contents = one
            scope.update(zip(names, contents[len(cells) :], strict=True))
            copy.__dict__.update(fields or {})
        elif isinstance(value, Module):
            copy = self._copies[id(value)] = object.__new__(kind)
            names = fields_of(value, self._names)
            parts = [self.of(item, depth) for item in items]
            copy.__dict__.update(value.__dict__ | dict(zip(names, parts, strict=False)))
            children = dict(zip(value._modules, parts[len(names) :], strict=True))
            if any(child is not value._modules[name] for name, child in children.items()):
                copy.__dict__["_modules"] = children  # else they stay the module's own, by which a guard sees another
        elif is_plain_object(kind):
            copy = self._copies[id(value)] = object.__new__(kind)
            parts = [self.of(item, depth) for item in items]
            copy.__dict__.update(value.__dict__ | dict(zip(fields_of(value, self._names), parts, strict=True)))
        else:
            parts = [self.of(item, depth) for item in items]
            if kind is types.MethodType:
                self._copies[id(value)] = types.MethodType(*parts)
            elif kind is functools.partial:
                self._copies[id(value)] = functools.partial(parts[0], *parts[1], **parts[2])
            else:
                self._copies[id(value)] = dict(zip(value, parts, strict=True)) if kind is dict else kind(parts)
