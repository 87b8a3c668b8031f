"""The form of a function as a pattern, against which the next one of its code is held.

It tells of a function what `opened` tells: whether the key is the same, and then the values. It writes nothing down
for that, and looks at each thing in a tenth of a microsecond. So it may fail where the keys are the same, and a loop
that makes its function anew passes.
"""

from __future__ import annotations

import types
import weakref
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import Module
from torch.nn.parameter import is_lazy

from jacstrat.strategies.attribute_names import AttributeNames
from jacstrat.strategies.parts import (
    BY_VALUE,
    DEPTH,
    VALUES,
    Parts,
    contents,
    fields_of,
    form_of,
    globals_of,
    kinds_below,
    parts_of,
)
from jacstrat.trace.names import names_read

# Whether a thing is what it was: it adds to the values, and to the objects that were met, by their addresses.
Match = Callable[[Any, list[Any], dict[int, int]], bool]


class FunctionPattern:
    """What functions of one key have in common; keeps nothing alive but code.

    Args:
        f: One of them.
        names: Of the attributes that are followed, as `Opened` has them.
        is_guarded: What layers a module has is looked at by a guard, and need not be here.
    """

    __slots__ = ("_match",)

    def __init__(self, f: Callable[..., Any], names: AttributeNames, is_guarded: bool) -> None:
        self._match = _PatternWalk(names, is_guarded).match_of(f, DEPTH)

    def values_of(self, f: Callable[..., Any]) -> tuple[Any, ...] | None:
        """The values of f as `opened` would have them; None where its key is another one, or may be."""
        values: list[Any] = []
        try:
            return tuple(values) if self._match(f, values, {}) else None
        except Exception:  # what is not there: the contents of a cell, a global, an attribute
            return None


class _PatternWalk:
    """Makes the matches of all that is met, in the order of `opened`."""

    def __init__(self, names: AttributeNames, is_guarded: bool) -> None:
        self._names, self._is_guarded = names, is_guarded
        self._seen: dict[int, int] = {}
        self._identities: dict[int, Match] = {}
        self._alive: list[object] = []  # an identity is one only as long as its object lives

    def match_of(self, value: Any, depth: int) -> Match:
        kind = type(value)
        if kind is types.ModuleType:
            name = value.__name__
            return lambda v, values, met: type(v) is types.ModuleType and v.__name__ == name
        if kind in VALUES:
            return _tensor(value) if kind is Tensor else _number(kind)
        if kind in BY_VALUE:
            return lambda v, values, met: type(v) is kind and v == value
        if (number := self._seen.get(id(value))) is not None:
            return lambda v, values, met: met.get(id(v)) == number
        if (identity := self._identities.get(id(value))) is not None:
            return identity
        self._alive.append(value)
        parts = parts_of(value, kind, self._names) if depth else None
        if parts is None and (identity := self._identity(value, kind)) is not None:
            self._identities[id(value)] = identity
            return identity
        self._seen[id(value)] = len(self._seen)
        if parts is None:  # told by its type, as it is in a key
            return _new(lambda v, values, met: type(v) is kind)
        return _new(self._made_of(value, kind, parts, depth - 1))

    def _identity(self, value: Any, kind: type) -> Match | None:
        """Of the same object still, and of none that was met as made of others; None where nothing may refer to it."""
        try:
            reference: Callable[[], Any] = weakref.ref(value)
        except TypeError:
            return None
        if isinstance(value, Tensor) and not is_lazy(value):
            form = form_of(value)
            return lambda v, values, met: v is reference() and form_of(v) == form and id(v) not in met
        if not isinstance(value, Module) or self._is_guarded:
            return lambda v, values, met: v is reference() and id(v) not in met
        training, kinds = value.training, kinds_below(value)

        def match(v: Any, values: list[Any], met: dict[int, int]) -> bool:
            return v is reference() and id(v) not in met and v.training is training and kinds_below(v) == kinds

        return match

    def _made_of(self, value: Any, kind: type, parts: Parts, depth: int) -> Match:
        if kind is types.FunctionType:
            return self._function(value, depth)
        if parts.has_fields:
            return self._object(value, kind, parts, depth)
        inner = tuple(self.match_of(item, depth) for item in parts.items)
        names, form, count = self._names, parts.form, len(parts.items)

        def match(v: Any, values: list[Any], met: dict[int, int]) -> bool:
            if type(v) is not kind:
                return False
            now = parts_of(v, kind, names)
            if now is None or len(now.items) != count or now.form != form:
                return False
            return all(one(item, values, met) for one, item in zip(inner, now.items, strict=True))

        return match

    def _object(self, value: Any, kind: type, parts: Parts, depth: int) -> Match:
        """An object with the same attributes as this one, those that are not followed among them; a module itself."""
        keys, names = list(value.__dict__), fields_of(value, self._names)
        fields = tuple((name, self.match_of(value.__dict__[name], depth)) for name in names)
        if not isinstance(value, Module):
            kind_of_it = weakref.ref(kind)

            def match(v: Any, values: list[Any], met: dict[int, int]) -> bool:
                if type(v) is not kind_of_it() or list(v.__dict__) != keys:
                    return False
                return all(one(v.__dict__[name], values, met) for name, one in fields)

            return match
        reference: Callable[[], Any] = weakref.ref(value)
        training, below = value.training, list(value._modules)
        children = tuple(self.match_of(child, depth) for child in value._modules.values())

        def match_module(v: Any, values: list[Any], met: dict[int, int]) -> bool:
            if v is not reference() or v.training is not training:
                return False
            if list(v.__dict__) != keys or list(v._modules) != below:
                return False
            for name, one in fields:
                if not one(v.__dict__[name], values, met):
                    return False
            return all(one(child, values, met) for one, child in zip(children, v._modules.values(), strict=True))

        return match_module

    def _function(self, f: types.FunctionType, depth: int) -> Match:
        code, scope = f.__code__, id(f.__globals__)
        cells = tuple(self.match_of(contents(cell), depth) for cell in f.__closure__ or ())
        names = globals_of(f)
        globals_ = tuple((name, self.match_of(f.__globals__[name], depth)) for name in names)
        absent = tuple(name for name in names_read(code).globals if name not in f.__globals__)
        rest = (f.__defaults__, f.__kwdefaults__, f.__dict__ or None)
        is_bare = rest == (None, None, None)
        others = () if is_bare else tuple(self.match_of(part, depth) for part in rest)

        def match(v: Any, values: list[Any], met: dict[int, int]) -> bool:
            if type(v) is not types.FunctionType or v.__code__ is not code or id(v.__globals__) != scope:
                return False
            for one, cell in zip(cells, v.__closure__ or (), strict=True):
                if not one(cell.cell_contents, values, met):
                    return False
            for name, one in globals_:
                if not one(v.__globals__[name], values, met):
                    return False
            for name in absent:
                if name in v.__globals__:
                    return False
            if is_bare:
                return v.__defaults__ is None and v.__kwdefaults__ is None and not v.__dict__
            parts = (v.__defaults__, v.__kwdefaults__, v.__dict__ or None)
            return all(one(part, values, met) for one, part in zip(others, parts, strict=True))

        return match


def _new(inner: Match) -> Match:
    """A thing that was not met before."""

    def match(v: Any, values: list[Any], met: dict[int, int]) -> bool:
        if id(v) in met:
            return False
        met[id(v)] = len(met)
        return inner(v, values, met)

    return match


def _number(kind: type) -> Match:
    def match(v: Any, values: list[Any], met: dict[int, int]) -> bool:
        values.append(v)
        return type(v) is kind

    return match


def _tensor(value: Tensor) -> Match:
    form = form_of(value)

    def match(v: Any, values: list[Any], met: dict[int, int]) -> bool:
        values.append(v)
        return type(v) is Tensor and form_of(v) == form

    return match
