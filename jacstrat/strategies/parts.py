"""What a function is made of, and the objects that it closes over: the parts that are followed, in one order."""

from __future__ import annotations

import functools
import types
from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module

from jacstrat.strategies.attribute_names import AttributeNames
from jacstrat.trace.fingerprint import Same, is_plain_object
from jacstrat.trace.names import names_read
from jacstrat.trace.objects import origin

# How deep objects are followed, and items of one container.
DEPTH, ITEMS = 8, 32
VALUES = frozenset((float, int, np.float64, np.float32, np.int64, np.int32, Tensor))
BY_VALUE = frozenset((bool, complex, str, bytes, types.NoneType, torch.dtype, torch.device, torch.Size, torch.layout))


def form_of(tensor: Tensor) -> tuple[Hashable, ...]:
    """What is known again of a tensor, whose numbers are others."""
    return (tensor.shape, tensor.dtype, tensor.device, tensor.requires_grad)


def kinds_below(module: Module) -> tuple[type, ...]:
    """The classes of a module and of those in it, as often as each is there; a fifth of what `modules()` takes."""
    left, kinds, seen = [module], [], set()
    while left:
        one = left.pop()
        kinds.append(type(one))
        if one._modules and id(one) not in seen:  # met again within itself it would not end
            seen.add(id(one))
            left += [child for child in one._modules.values() if child is not None]
    return tuple(kinds)


class Empty:
    """What stands for the contents of a cell that has none as yet."""


_EMPTY = Empty()


class Parts(NamedTuple):
    """What an object is made of: what tells it from others of its kind, and its parts in their order."""

    form: tuple[Hashable, ...]
    items: tuple[Any, ...]
    has_fields: bool = False


def parts_of(value: Any, kind: type, among: AttributeNames) -> Parts | None:
    """The parts of a value, its attributes of these names; None of one that is told by identity."""
    if kind is types.FunctionType:
        cells = tuple(map(contents, value.__closure__)) if value.__closure__ else ()
        names, rest = globals_of(value), (value.__defaults__, value.__kwdefaults__, value.__dict__ or None)
        read = map(value.__globals__.__getitem__, names)
        return Parts((value.__code__, id(value.__globals__), *names), (*cells, *read, *rest))
    if kind is types.MethodType:
        return Parts((kind,), (value.__func__, value.__self__))
    if kind is functools.partial:
        return Parts((kind,), (value.func, value.args, value.keywords))
    if (kind is tuple or kind is list) and len(value) <= ITEMS:
        return Parts((kind, len(value)), tuple(value))
    if kind is dict and len(value) <= ITEMS and all(type(key) is str or type(key) is int for key in value):
        return Parts((kind, *value), tuple(value.values()))
    if is_plain_object(kind):
        names = fields_of(value, among)
        return Parts((Same(kind), *names), tuple(map(value.__dict__.__getitem__, names)), has_fields=True)
    if is_users_module(kind):
        names = fields_of(value, among)
        items = (*map(value.__dict__.__getitem__, names), *value._modules.values())
        return Parts((Same(value), value.training, *names, *value._modules), items, has_fields=True)
    return None


def globals_of(f: types.FunctionType) -> tuple[str, ...]:
    """The globals that the code of a user's function reads."""
    scope = f.__globals__
    if origin(str(scope.get("__name__"))) != "own":
        return ()
    return tuple(name for name in names_read(f.__code__).globals if name in scope)


def contents(cell: types.CellType) -> Any:
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


def fields_of(value: Any, among: AttributeNames) -> tuple[str, ...]:
    """Names of the attributes of an object that are followed."""
    internal = _INTERNAL if isinstance(value, Module) else frozenset()
    return tuple(name for name in value.__dict__ if name not in internal and (among is None or name in among))
