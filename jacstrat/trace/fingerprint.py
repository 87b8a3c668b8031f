"""What a function is, as far as a recording of it goes: equal fingerprints, equal tapes.

A recording bakes in all that the function does in Python: numbers it closes over, globals, switches of modules, the
methods that it calls. A tape may serve again only where all of this is the same, so the fingerprint holds all that the
code can reach: its closure, defaults, the globals and attributes that it names, modules with all their fields, and the
same of every function among these. Tensors are in it by identity, since a tape follows what is written into them. What
is not understood has no fingerprint: unknown objects, imports and look-ups by a name that is computed, hooks, tensors
read as numbers. Code and modules of torch, of the standard library's mathematics and of this package are taken as they
are.
"""

from __future__ import annotations

import builtins
import functools
import types
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.modules import module as hooks_of_all

from jacstrat.core.operator import Operator
from jacstrat.trace.names import is_plain_builtin, names_of, words
from jacstrat.trace.reach import IMPLICIT
from jacstrat.trace.tracers import function_modes, has_modes, is_recorded, is_transformed

_BY_VALUE: tuple[type, ...] = (int, bool, str, bytes, types.NoneType, types.EllipsisType, types.NotImplementedType)
_BY_VALUE += (torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format)
_TRUSTED = ("torch", "jacstrat", "math", "operator", "_operator", "functools")
_OPERATIONS = (torch._ops.OpOverload, torch._ops.OpOverloadPacket)
_CLASS_FIELDS = words(
    "__module__ __doc__ __dict__ __weakref__ __annotations__ __qualname__ __parameters__ __orig_bases__ "
    "__slots__ __repr__ __replace__ __dataclass_fields__ __dataclass_params__ __match_args__ "
    "__static_attributes__ __firstlineno__ __annotate__ __annotate_func__ __annotations_cache__"
)
# Fields of modules that are to be empty: hooks by any name.
_EMPTY = ("_hooks", "_hooks_with_kwargs", "_hooks_always_called")
_DEPTH = 60
# Whose objects are not plain, whatever their classes look like.
_LIBRARIES = ("torch", "numpy", "jacstrat", "builtins")


class Same:
    """An object by identity, not kept alive; equal to nothing once the object is gone."""

    __slots__ = ("_id", "_ref")

    def __init__(self, value: object) -> None:
        self._ref, self._id = weakref.ref(value), id(value)

    def __hash__(self) -> int:
        return self._id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and (mine := self._ref()) is not None and mine is other._ref()


class Fingerprint(NamedTuple):
    """What a function is, to be compared and used as a key.

    Fields:
        key: All that the function reaches; keeps nothing alive but code.
        tensors: Identities of the tensors among this, valid as long as the function lives.
    """

    key: tuple[Hashable, ...]
    tensors: frozenset[int]


def fingerprint(f: Callable[..., Any]) -> Fingerprint | None:
    """The fingerprint of f as it is now; None where it has none."""
    walk = _FingerprintWalk()
    try:
        walk.see(f, 0)
        walk.read_by_names()
    except (_Opaque, TypeError, ValueError):  # what cannot be referred to weakly, a cell that is empty
        return None
    return Fingerprint(tuple(walk.parts), frozenset(walk.tensors))


def switches(x: Tensor) -> Hashable | None:
    """The switches of torch that a recording at x would see; None where a mode or a hook follows what is done."""
    if (
        torch.compiler.is_compiling()
        or is_transformed()
        or is_recorded()
        or function_modes()
        or has_modes()
        or any(vars(hooks_of_all)[name] for name in _HOOKS_OF_ALL)
    ):
        return None
    kinds = filter(torch.amp.is_autocast_available, {x.device.type, "cpu"})
    casts = tuple((kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in sorted(kinds))
    return (torch.get_default_dtype(), casts)


_HOOKS_OF_ALL = [name for name in vars(hooks_of_all) if name.startswith("_global_") and name.endswith("_hooks")]


class _Opaque(Exception):  # noqa: N818 - it ends a walk, and is no fault
    """Something that is not understood."""


class _FingerprintWalk:
    """Writes down in one list all that is reached, each object once."""

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.tensors: list[int] = []
        self._seen: dict[int, int] = {}
        self._alive: list[object] = []  # an identity is one only as long as its object lives
        self._read: set[tuple[int, tuple[str, ...]]] = set()
        self._classes: dict[type, set[str]] = {}  # with the names that were looked up in each
        self._objects: list[tuple[int, Mapping[str, Any], set[str]]] = []  # likewise: number, fields and names
        self._names = set(IMPLICIT)

    def see(self, value: Any, depth: int) -> None:
        kind = type(value)
        if kind in _BY_VALUE:
            self._add(kind, value)
            return
        if kind is float or kind is complex or issubclass(kind, np.number):
            self._add(kind, repr(value))  # tells -0.0 from 0.0, and a NaN is one
            return
        if (number := self._seen.get(id(value))) is not None:
            self._add(_FingerprintWalk, number)
            return
        self._seen[id(value)] = len(self._seen)
        self._alive.append(value)
        if depth > _DEPTH:
            raise _Opaque
        if kind in _CONTAINERS and len(value) > _MOST:
            raise _Opaque
        self._add(kind if kind.__module__ in _PLAIN else Same(kind))
        self._look(value, kind, depth + 1)

    def _look(self, value: Any, kind: type, depth: int) -> None:
        if kind is Tensor or kind is torch.nn.Parameter:
            self._tensor(value)
        elif isinstance(value, Module):
            self._module(value, depth)
        elif kind is types.FunctionType:
            self._function(value, depth)
        elif kind is types.MethodType:
            self._all((value.__func__, value.__self__), depth)
        elif kind is functools.partial:
            self._all((value.func, value.args, value.keywords, vars(value)), depth)
        elif kind in (list, tuple):
            self.parts.append(len(value))
            self._all(value, depth)
        elif kind in (dict, OrderedDict, types.MappingProxyType):
            self._items(value.items(), depth)
        elif kind in (set, frozenset) and all(type(item) in _BY_VALUE for item in value):
            self.parts.append(frozenset((type(item), item) for item in value))
        elif kind is Operator:
            self._all((value.name, value.coordinates, value.weight), depth)
        elif kind in (property, staticmethod, classmethod):
            inner = (value.fget, value.fset, value.fdel) if kind is property else (value.__func__,)
            self._all(inner, depth)
        elif kind in _OPERATIONS:
            self.parts.append(value)
        elif kind is types.BuiltinFunctionType or kind is types.BuiltinMethodType:
            self._builtin(value)
        elif kind is types.ModuleType or isinstance(value, types.ModuleType):
            if not _is_trusted(value.__name__):  # which of its attributes are read is not known here
                raise _Opaque
            self.parts.append(value.__name__)
        elif isinstance(value, type):
            self._class(value, depth)
        elif is_plain_object(kind):
            self._objects.append((self._seen[id(value)], vars(value), set()))
            for one in kind.__mro__[:-1]:
                self._classes.setdefault(one, set())
        else:
            raise _Opaque

    def _add(self, *parts: Any) -> None:
        self.parts.extend(parts)

    def _all(self, values: Iterable[Any], depth: int) -> None:
        for value in values:
            self.see(value, depth)

    def _items(self, items: Iterable[tuple[Any, Any]], depth: int) -> None:
        before = len(self.parts)
        self.parts.append(None)
        count = 0
        for key, value in items:
            self.see(key, depth)
            self.see(value, depth)
            count += 1
        self.parts[before] = count

    def _tensor(self, tensor: Tensor) -> None:
        if vars(tensor) or tensor.layout is not torch.strided:
            raise _Opaque
        self.parts += (Same(tensor), tensor.shape, tensor.dtype, tensor.device, tensor.requires_grad)
        self.tensors.append(id(tensor))

    def _module(self, module: Module, depth: int) -> None:
        self.parts.append(Same(module))
        self.see(type(module), depth)
        fields = []
        # A layer of torch's reads its settings by code that is not looked at; others have theirs where they are read.
        is_users = all(one is Module or not _is_trusted(one.__module__) for one in type(module).__mro__[:-1])
        for name, item in vars(module).items():
            if name.endswith(_EMPTY):
                if item:
                    raise _Opaque
            elif not is_users or name in _OF_MODULES:
                fields.append((name, item))
        self._items(fields, depth)
        if is_users:
            self._objects.append((self._seen[id(module)], vars(module), set(_OF_MODULES)))

    def _class(self, kind: type, depth: int) -> None:
        """A class of torch with what it calls; one that is derived from it with all that it defines."""
        self.parts.append(Same(kind))
        if not issubclass(kind, Module):
            if not (_is_trusted(kind.__module__) or kind.__module__ == "builtins"):
                raise _Opaque
            return
        for one in kind.__mro__:
            if _is_trusted(one.__module__):
                self._all((vars(one).get("forward"), vars(one).get("__call__")), depth)
            elif one is not object:
                self._classes.setdefault(one, set())

    def read_by_names(self) -> None:
        """See what code that is reached may read of classes and of objects, by name, which may reach more."""
        has_grown = True
        while has_grown:
            has_grown = False
            for number, fields, seen in tuple(self._objects):
                for name in [name for name in fields if name in self._names and name not in seen]:
                    seen.add(name)
                    self._add(number, name)
                    self.see(fields[name], 1)
                    has_grown = True
            for kind, seen in tuple(self._classes.items()):
                for name, item in vars(kind).items():
                    if name in self._names and name not in seen and name not in _CLASS_FIELDS:
                        seen.add(name)
                        self._add(Same(kind), name)
                        self.see(item, 1)
                        has_grown = True

    def _function(self, f: types.FunctionType, depth: int) -> None:
        self.parts.append(f.__code__)
        if f.__closure__:
            self._all((cell.cell_contents for cell in f.__closure__), depth)
        self._all((f.__defaults__, f.__kwdefaults__), depth)
        if vars(f):
            self._items(vars(f).items(), depth)
        scope = f.__globals__
        if _is_trusted(str(scope.get("__name__"))):
            return
        names = names_of(f.__code__)
        if names is None:
            raise _Opaque
        self._names.update(names.attributes)
        for name in names.globals:
            if name in scope:
                self.see(name, depth)
                if isinstance(scope[name], types.ModuleType):
                    self._attributes(scope[name], names.attributes, depth)
                else:
                    self.see(scope[name], depth)
            elif not is_plain_builtin(name, f):
                raise _Opaque

    def _attributes(self, module: types.ModuleType, names: tuple[str, ...], depth: int) -> None:
        """What the code may read of a module, and of the modules in it."""
        fields = vars(module)
        if (id(module), names) in self._read:
            return
        self._read.add((id(module), names))
        self.parts += (Same(module), module.__name__)
        if "__getattr__" in fields and not _is_trusted(module.__name__):
            raise _Opaque
        for name in names:
            if name in fields:
                self.see(name, depth)
                if isinstance(fields[name], types.ModuleType):
                    self._attributes(fields[name], names, depth)
                else:
                    self.see(fields[name], depth)

    def _builtin(self, value: Any) -> None:
        owner = value.__self__
        name = owner.__name__ if isinstance(owner, types.ModuleType) else getattr(type(owner), "__module__", "")
        if isinstance(owner, type):
            name = owner.__module__
        if owner is builtins or isinstance(owner, (Tensor, Module)):
            raise _Opaque
        if not (owner is None or _is_trusted(name)) or (owner is None and not _is_trusted(str(value.__module__))):
            raise _Opaque
        self.parts.append(value)


# Of longer containers a direct call would do little but look at them.
_CONTAINERS, _MOST = frozenset((list, tuple, dict, OrderedDict, set, frozenset)), 1000
# Fields that every module has.
_OF_MODULES = frozenset(vars(Module()))
# Modules of types that are no user's.
_PLAIN = ("builtins", "types", "functools", "collections", "torch", "torch.nn.parameter")


def _is_trusted(module: str) -> bool:
    return module.partition(".")[0] in _TRUSTED


@functools.lru_cache(maxsize=1024)
def is_plain_object(kind: type) -> bool:
    """Whether what an object of this class is stands in its `vars` alone, so that one like it can be made."""
    classes = kind.__mro__[:-1]
    return (
        type(kind) is type
        and bool(classes)
        and bool(kind.__dictoffset__)  # classes of extensions, as that of locks, may look like a user's but for this
        and all(one.__flags__ & _HEAP_TYPE and "__slots__" not in vars(one) for one in classes)
        and all(one.__module__.partition(".")[0] not in _LIBRARIES for one in classes)
        and not any({"__new__", "__getattribute__"} & vars(one).keys() for one in classes)
    )


_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement
