"""What a function reaches in Python: all that it reads, from the outside inwards, each object once.

Which attributes of an object are read is told by names. An attribute counts where its name occurs in code that the
function reaches: its own, and of each object reached the methods that are called by syntax (`forward`, `__call__`,
`__getitem__`) and those whose names occur in turn. So a trainer may count its steps beside the network that is traced.
Of a module the parameters, buffers, modules, hooks and `training` always count, and of a layer of torch all settings.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import logging
import os
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.modules import module as hooks_of_all

from jacstrat.trace.containers import ATTRIBUTE, AccessPath, Inside, Read, reads_of, reads_of_entries
from jacstrat.trace.contents import BUFFERS, IMMUTABLE, Bytes
from jacstrat.trace.lookups import is_variable, lookups_of
from jacstrat.trace.names import names_read, words
from jacstrat.trace.objects import Fields, fields_of, is_setting, origin

log = logging.getLogger("jacstrat")

# Objects and checks of one walk: past these it ends, in a fifth of a second at most.
OBJECTS = 5_000
CHECKS = 50_000

# What code calls without naming it.
IMPLICIT = words(
    "forward __wrapped__ __call__ __getattr__ __getattribute__ __get__ __getitem__ __len__ __iter__ __next__ "
    "__contains__ __bool__ __int__ __float__ __index__ __enter__ __exit__ __torch_function__ __neg__ __pos__ __abs__ "
    "__invert__ __add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __pow__ __rpow__ "
    "__matmul__ __rmatmul__"
)
# The same of a class that code may call, or that is an autograd.Function.
_IMPLICIT_OF_CLASSES = words("__init__ __new__ __post_init__ backward setup_context jvp vmap")
# What other callables are made of; it cannot be put in place of another.
_PARTS: dict[type, tuple[str, ...]] = {
    types.MethodType: ("__func__", "__self__"),
    types.BuiltinFunctionType: ("__self__",),
    functools.partial: ("func", "args", "keywords"),
    functools.cached_property: ("func",),
    property: ("fget",),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
}
# What a function sees behind its globals.
_BUILTINS: Callable[[types.FunctionType], Fields] = attrgetter("__builtins__")
# What code may ask of a tensor that changes while the tensor stays.
_REQUIRES_GRAD = attrgetter("requires_grad")
_ENTRIES = ("_parameters", "_buffers", "_modules")
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


class Walk:
    """Lists what is read."""

    def __init__(self) -> None:
        self._reads: list[Read] = []
        self._queue: deque[tuple[Any, AccessPath]] = deque()
        self._seen: dict[int, Any] = {}  # with the objects: an identity is one only as long as its object lives
        self._looked_up: set[tuple[int, str]] = set()
        self._owners: list[tuple[Any, list[Fields], str]] = []
        self._names: set[str] = set(IMPLICIT)
        self._new_names: set[str] = set()
        # Of the names those that need not be there. Others are computed: of what objects, or in a function, of any.
        self._asked: set[str] = set()
        self._is_computed = False
        self._computed: set[int] = set()
        self._class_fields: dict[type, Fields] = {}  # `vars` of a class is a new object each time
        self._scopes: dict[type, list[Fields]] = {}

    @property
    def names(self) -> frozenset[str] | None:
        """Those that code which was reached may read attributes by; None where the walk has ended early."""
        is_whole = len(self._reads) < CHECKS and len(self._seen) < OBJECTS
        return frozenset(self._names) if is_whole and not (self._is_computed or self._computed) else None

    def run(self, f: Any) -> tuple[Read, ...]:
        self._queue.append((f, ("the function",)))
        while self._queue or self._new_names:
            while self._queue:
                value, access = self._queue.popleft()
                if len(self._reads) < CHECKS:
                    self._try(value, self._look, value, type(value), access)
            names, self._new_names = self._new_names, set()
            self._names |= names
            for value, scopes, owner in self._owners:
                self._try(value, self._attributes, value, scopes, owner, names)
        if "requires_grad" in self._names:
            tensors = {id(read.value): read for read in self._reads if issubclass(type(read.value), Tensor)}
            for read in tensors.values():
                self._try(read.value, self._requires_grad, read)
        return tuple(self._reads)

    @staticmethod
    def _try(value: Any, look: Callable[..., None], *args: Any) -> None:
        """Look at an object, which may raise anything where it is asked for its parts.

        That is no concern of the function's caller, as it may never be asked by the function. What was not read is not
        guarded, which the log says.
        """
        try:
            look(*args)
        except Exception:
            log.debug("not all of an object of %r is guarded", type(value), exc_info=True)

    def _see(self, value: Any, access: AccessPath) -> None:
        kind = type(value)
        if kind in IMMUTABLE or id(value) in self._seen or issubclass(kind, Tensor) or len(self._seen) >= OBJECTS:
            return
        self._seen[id(value)] = value
        self._queue.append((value, access))

    def _note(self, read: Callable[[Any], Any], argument: Any, value: Any, access: AccessPath) -> None:
        self._reads.append(Read(read, argument, value, access))
        self._see(value, access)

    def _take(self, found: Iterable[Read | Inside]) -> None:
        for one in found:
            if isinstance(one, Read):
                self._reads.append(one)
            self._see(one.value, one.access)

    # `issubclass` of the type and not `isinstance`, which may ask a property `__class__` of the object.
    def _look(self, value: Any, kind: type, access: AccessPath) -> None:
        if kind is types.FunctionType:
            self._function(value)
        elif kind in _PARTS:
            for part in _PARTS[kind]:
                self._see(getattr(value, part), (ATTRIBUTE, part, f"a {kind.__name__}"))
        elif issubclass(kind, types.ModuleType):
            if origin(value.__name__) == "own":
                self._attributes_read(value, [vars(value)], value.__name__)
        elif issubclass(kind, type):
            self._attributes_read(value, self._class(value), value.__name__)
            self._attributes(value, self._class(value), value.__name__, _IMPLICIT_OF_CLASSES)
        else:
            self._take(reads_of(value, kind, access))
            if issubclass(kind, Module):
                self._module(value, kind)
            elif kind is contextvars.ContextVar:
                read = functools.partial(contextvars.ContextVar.get, value)
                self._note(read, None, read(None), ("the value of a {}", kind.__name__))
            elif kind in BUFFERS and (contents := Bytes.of(value)) is not None:
                self._note(contents.holds, value, True, access)
            if kind not in (list, tuple, dict, set, frozenset, OrderedDict):
                fields = fields_of(value, kind)
                if fields and issubclass(kind, Collection) and origin(kind.__module__) == "core":
                    for name in fields:  # what a ChainMap or a UserDict is made of, under whatever names
                        self._entry(fields, name, (ATTRIBUTE, name, kind.__name__))
                if scopes := [*([] if fields is None else [fields]), *self._class(kind)]:
                    self._reads.append(Read(type, value, kind, ("the class of a {}", kind.__name__)))
                    self._attributes_read(value, scopes, kind.__name__)

    def _module(self, module: Module, kind: type) -> None:
        owner, is_users = kind.__name__, bool(self._class(kind))
        fields = fields_of(module, kind) or {}
        for name, item in fields.items():
            access = (ATTRIBUTE, name, owner)
            if name in _ENTRIES:
                if type(item) in (dict, OrderedDict):  # what a ScriptModule has is neither
                    self._seen[id(item)] = item
                    self._take(reads_of_entries(item, access, owner, ordered=name == "_modules"))
            elif name in _HOOKS:
                self._take(reads_of(item, type(item), access))
            elif name == "training" or (not (is_users or "hook" in name) and is_setting(item)):
                self._entry(fields, name, access)
        if not issubclass(kind, torch.jit.ScriptModule):  # which puts it there itself at its first call
            self._entry(fields, "forward", (ATTRIBUTE, "forward", owner))
        for name in _HOOKS:
            self._see(vars(hooks_of_all)["_global" + name], ("`{}` of all modules", name))

    def _function(self, f: types.FunctionType) -> None:
        name = "a lambda" if f.__name__ == "<lambda>" else f.__name__
        for variable, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            with contextlib.suppress(ValueError):  # it is empty as yet
                access = ("`{}`, which {} closes over", variable, name)
                self._note(attrgetter("cell_contents"), cell, cell.cell_contents, access)
        for attribute in ("__defaults__", "__kwdefaults__"):
            if (value := getattr(f, attribute)) is not None:
                self._note(attrgetter(attribute), f, value, (ATTRIBUTE, attribute, name))
        self._attributes_read(f, [vars(f)], name)
        if origin(str(f.__globals__.get("__name__"))) == "own":
            self._note(attrgetter("__code__"), f, f.__code__, ("the code of {}", name))
            self._read_names(f)
            looked_up = lookups_of(f)
            for variable in (*names_read(f.__code__).globals, *looked_up.globals):
                self._entry(f.__globals__, variable, ("the global `{}`", variable))
                if variable not in f.__globals__:
                    self._entry(_BUILTINS(f), variable, ("the builtin `{}`", variable))
            for module, attribute in looked_up.libraries:
                self._of_library(module, attribute)
            for module in looked_up.modules:
                self._see(module, ("{}", module.__name__))
            for variable in looked_up.environment:
                is_same = functools.partial(is_variable, os.environ.get(variable))
                self._note(is_same, variable, True, ("`{}` of the environment", variable))

    def _attributes_read(self, value: Any, scopes: list[Fields], owner: str) -> None:
        if any(scopes):
            self._owners.append((value, scopes, owner))
            self._attributes(value, scopes, owner, self._names)

    def _attributes(self, value: Any, scopes: list[Fields], owner: str, names: Iterable[str]) -> None:
        """Guard the attributes of these names, in each scope that has them and in those that come before it."""
        for number, fields in enumerate(scopes):
            is_objects = type(fields) is dict and number == 0
            is_computed = is_objects and (self._is_computed or id(value) in self._computed)
            if is_objects:
                self._absences(fields, owner, names, is_computed)
            for name in [name for name in fields if name in names or is_computed]:
                access = (ATTRIBUTE, name, owner)
                for scope in scopes[: number + 1]:
                    self._entry(scope, name, access)
                field = fields[name]
                if type(field) is types.MemberDescriptorType:
                    with contextlib.suppress(AttributeError, TypeError):  # it is not set, or value is the class
                        self._note(field.__get__, value, field.__get__(value), access)
                elif type(field) is types.FunctionType and type(fields) is types.MappingProxyType:
                    self._read_names(field, value)  # here also that of torch, from which a user's class is derived

    def _absences(self, fields: Fields, owner: str, names: Iterable[str], is_computed: bool) -> None:
        """Guard the absence of what is asked for, and of anything where that is computed."""
        for name in self._asked.intersection(names).difference(fields):
            self._entry(fields, name, (ATTRIBUTE, name, owner))
        if is_computed and (id(fields), "") not in self._looked_up:
            self._looked_up.add((id(fields), ""))
            self._reads.append(Read(len, fields, len(fields), ("the attributes of {}", owner)))

    def _of_library(self, module: types.ModuleType, name: str) -> None:
        """Guard what a library has by a name, once; what that is made of counts where the user has put it there."""
        fields, access = vars(module), ("`{}.{}`", module.__name__, name)
        if (id(fields), name) not in self._looked_up:
            self._looked_up.add((id(fields), name))
            value = fields[name]
            self._reads.append(Read(fields.__getitem__, name, value, access))
            home = getattr(value, "__module__", None)  # None of a builtin function
            if isinstance(home, str) and origin(home) == "own":
                self._see(value, access)

    def _requires_grad(self, read: Read) -> None:
        access = (ATTRIBUTE, "requires_grad", read.access)
        self._reads.append(Read(_REQUIRES_GRAD, read.value, read.value.requires_grad, access))

    def _entry(self, fields: Fields, name: str, access: AccessPath) -> None:
        """Guard an entry or its absence, once."""
        if (id(fields), name) in self._looked_up:
            return
        self._looked_up.add((id(fields), name))
        if name in fields:
            self._note(fields.__getitem__, name, fields[name], access)
        else:
            self._note(fields.__contains__, name, False, access)

    def _read_names(self, f: types.FunctionType, owner: Any = None) -> None:
        """Take the names of attributes in the code of f, but for those of a library's module: `torch.log`.

        Of a method of an owner that computes names all of the owner counts; `__getattr__` is given those that others
        have in their code.
        """
        names, scope = names_read(f.__code__), f.__globals__
        modules = [name for name in names.globals if issubclass(type(scope.get(name)), types.ModuleType)]
        libraries = {name for name in modules if origin(scope[name].__name__) != "own"}
        self._new_names |= {name for owner, name in names.attributes if owner not in libraries} - self._names
        if origin(str(scope.get("__name__"))) == "own":
            asked = {name for of, name in names.asked if of not in libraries}
            if None in asked and f.__name__ not in ("__getattr__", "__getattribute__"):
                is_known = self._is_computed or id(owner) in self._computed
                if owner is None:
                    self._is_computed = True
                else:
                    self._computed.add(id(owner))
                if not is_known:
                    self._new_names.add("")  # all objects are looked at again
            self._asked.update(name for name in asked if name is not None)

    def _class(self, kind: type) -> list[Fields]:
        """The fields of the classes whose methods count: a user's, and those of torch that a user's derives from."""
        if kind not in self._scopes:
            # What an installed library defines is read for layers only, not for tables and the like.
            users = ("own", "installed") if issubclass(kind, Module) else ("own",)
            origins = {one: origin(str(one.__module__)) for one in kind.__mro__ if one not in (object, Module)}
            classes = [one for one, origin in origins.items() if origin in users or one.__module__.startswith("torch.")]
            any_users = any(origin in users for origin in origins.values())
            self._scopes[kind] = [self._class_fields.setdefault(one, vars(one)) for one in classes if any_users]
        return self._scopes[kind]
