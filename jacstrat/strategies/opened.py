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

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.parameter import is_lazy

from jacstrat.strategies.attribute_names import AttributeNames, attribute_names, guessed_names
from jacstrat.trace.fingerprint import Same, is_plain_object
from jacstrat.trace.names import names_read
from jacstrat.trace.objects import origin

# How deep objects are followed, and items of one container.
DEPTH, ITEMS = 8, 32
# How often names are looked for that may be read of what is met, before all are taken.
ROUNDS = 4
_VALUES = frozenset((float, int, np.float64, np.float32, np.int64, np.int32, Tensor))
_BY_VALUE = frozenset((bool, complex, str, bytes, types.NoneType, torch.dtype, torch.device, torch.Size, torch.layout))


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
        elif kind in _VALUES:
            is_tensor = kind is Tensor
            self.parts += (value.shape, value.dtype, value.device, value.requires_grad) if is_tensor else (kind,)
            self.values.append(value)
        elif kind in _BY_VALUE:
            self.parts += (kind, value)
        elif (number := self._seen.get(id(value))) is not None:
            self.parts += (_OpenedWalk, number)  # met before, as within a cycle
        else:
            self._seen[id(value)] = len(self._seen)
            if isinstance(value, Module):
                self.modules.append(value)
            if (inner := _parts(value, kind, self._names) if depth else None) is None:
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
            self.parts += (value.shape, value.dtype, value.device, value.requires_grad)
        if isinstance(value, Module):  # with the kinds of its layers: one that is replaced is held against a witness
            self.parts += (value.training, *map(type, value.modules()))
        try:
            self.parts.append(Same(value))
        except TypeError:  # it cannot be referred to weakly
            self.parts.append(kind)
            self.is_exact = False


class _Empty:
    """What stands for the contents of a cell that has none as yet."""


_EMPTY = _Empty()


class _Parts(NamedTuple):
    """What an object is made of: what tells it from others of its kind, and its parts in their order."""

    form: tuple[Hashable, ...]
    items: tuple[Any, ...]
    has_fields: bool = False


def _parts(value: Any, kind: type, among: AttributeNames) -> _Parts | None:
    """The parts of a value, its attributes of these names; None of one that is told by identity."""
    if kind is types.FunctionType:
        cells = tuple(map(_contents, value.__closure__)) if value.__closure__ else ()
        names, rest = _globals(value), (value.__defaults__, value.__kwdefaults__, value.__dict__ or None)
        read = map(value.__globals__.__getitem__, names)
        return _Parts((value.__code__, id(value.__globals__), *names), (*cells, *read, *rest))
    if kind is types.MethodType:
        return _Parts((kind,), (value.__func__, value.__self__))
    if kind is functools.partial:
        return _Parts((kind,), (value.func, value.args, value.keywords))
    if (kind is tuple or kind is list) and len(value) <= ITEMS:
        return _Parts((kind, len(value)), tuple(value))
    if kind is dict and len(value) <= ITEMS and all(type(key) is str or type(key) is int for key in value):
        return _Parts((kind, *value), tuple(value.values()))
    if is_plain_object(kind):
        names = _fields_of(value, among)
        return _Parts((Same(kind), *names), tuple(map(value.__dict__.__getitem__, names)), has_fields=True)
    if is_users_module(kind):
        names = _fields_of(value, among)
        items = (*map(value.__dict__.__getitem__, names), *value._modules.values())
        return _Parts((Same(value), value.training, *names, *value._modules), items, has_fields=True)
    return None


def _globals(f: types.FunctionType) -> tuple[str, ...]:
    """The globals that the code of a user's function reads."""
    scope = f.__globals__
    if origin(str(scope.get("__name__"))) != "own":
        return ()
    return tuple(name for name in names_read(f.__code__).globals if name in scope)


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _EMPTY


@functools.lru_cache(maxsize=1024)
def is_users_module(kind: type) -> bool:
    """Whether it is a class of modules with fields of the user's own, so that one like it can be made."""
    if not issubclass(kind, Module) or issubclass(kind, torch.jit.ScriptModule):
        return False
    classes = kind.__mro__[: kind.__mro__.index(Module)]
    return (
        type(kind) is type
        and all(one.__module__.partition(".")[0] != "torch" and "__slots__" not in vars(one) for one in classes)
        and not any({"__new__", "__getattribute__"} & vars(one).keys() for one in classes)
    )


# Fields that every module has; those with parameters, buffers, modules and hooks are watched by a guard.
_INTERNAL = frozenset(vars(Module()))


def _fields_of(value: Any, among: AttributeNames) -> tuple[str, ...]:
    """Names of the attributes of an object that are followed."""
    internal = _INTERNAL if isinstance(value, Module) else frozenset()
    return tuple(name for name in value.__dict__ if name not in internal and (among is None or name in among))


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
        if type(value) not in _VALUES or next(seen) not in places:
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
        if kind in _VALUES or kind is _Hole:
            return self._leaf(value)
        if kind in _BY_VALUE or kind is _Empty:
            return value
        if id(value) not in self._copies:
            inner = _parts(value, kind, self._names) if depth else None
            if inner is None:
                self._copies[id(value)] = value
            else:
                self._make(value, kind, inner.items, depth - 1)
        return self._copies[id(value)]

    def _make(self, value: Any, kind: type, items: tuple[Any, ...], depth: int) -> None:
        if kind is types.FunctionType:  # before its parts, which may have it in turn
            cells = tuple(types.CellType() for _ in value.__closure__ or ())
            names = _globals(value)
            scope = dict(value.__globals__) if names else value.__globals__
            copy = types.FunctionType(value.__code__, scope, value.__name__, None, cells or None)
            self._copies[id(value)] = copy
            *contents, copy.__defaults__, copy.__kwdefaults__, fields = [self.of(item, depth) for item in items]
            for cell, one in zip(cells, contents, strict=False):
                if type(one) is not _Empty:
                    cell.cell_contents = one
            scope.update(zip(names, contents[len(cells) :], strict=True))
            copy.__dict__.update(fields or {})
        elif isinstance(value, Module):
            copy = self._copies[id(value)] = object.__new__(kind)
            names = _fields_of(value, self._names)
            parts = [self.of(item, depth) for item in items]
            copy.__dict__.update(value.__dict__ | dict(zip(names, parts, strict=False)))
            children = dict(zip(value._modules, parts[len(names) :], strict=True))
            if any(child is not value._modules[name] for name, child in children.items()):
                copy.__dict__["_modules"] = children  # else they stay the module's own, by which a guard sees another
        elif is_plain_object(kind):
            copy = self._copies[id(value)] = object.__new__(kind)
            parts = [self.of(item, depth) for item in items]
            copy.__dict__.update(value.__dict__ | dict(zip(_fields_of(value, self._names), parts, strict=True)))
        else:
            parts = [self.of(item, depth) for item in items]
            if kind is types.MethodType:
                self._copies[id(value)] = types.MethodType(*parts)
            elif kind is functools.partial:
                self._copies[id(value)] = functools.partial(parts[0], *parts[1], **parts[2])
            else:
                self._copies[id(value)] = dict(zip(value, parts, strict=True)) if kind is dict else kind(parts)
