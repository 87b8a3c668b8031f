"""Choices of `auto` in this process, by what the function is: so that a call in every training step is cheap.

What is kept was held against a witness for this function or for one with the same code, and what it rests on a trace
for is traced anew. So the key may leave out what changes from step to step: of tensors it has shape, dtype and device
and not the values, of floating-point numbers nothing. Modules, with the kinds of their layers, and other objects are
told apart by identity, through weak references: a key keeps nothing alive but code. What is known of other functions of
the same code alone is a guess, and is held against a witness again.
"""

from __future__ import annotations

import functools
import inspect
import threading
import types
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from jacstrat.core.modelled import kind_of
from jacstrat.core.operator import Operator
from jacstrat.trace.arguments import Args
from jacstrat.trace.fingerprint import Same
from jacstrat.trace.tracers import default_device, has_hooks, is_transformed

V = TypeVar("V")

_BY_VALUE = (int, str, bytes, types.NoneType, torch.dtype, torch.device, torch.Size)
# How deep closures are followed; a function wrapped more often is one with others like it.
DEPTH = 6


class CacheHit(NamedTuple, Generic[V]):
    """What was kept.

    Fields:
        value: It.
        is_own: It was for this function, or one that looks the same; else for others of the same code.
    """

    value: V
    is_own: bool


class ProcessCache(Generic[V]):
    """The latest `size` values by key, and the latest of each code object.

    A closure over ever new objects would never be known. After `most` values for one code object under the same
    circumstances the last of them stands for all, as a guess.
    """

    def __init__(self, size: int = 256, most: int = 32) -> None:
        self._size, self._most = size, most
        self._values: OrderedDict[Hashable, V] = OrderedDict()
        self._taken: Counter[Hashable] = Counter()
        self._lock = threading.Lock()

    def get(self, f: Callable, circumstances: Hashable) -> V | None:
        """The value that `find` finds."""
        hit = self.find(f, circumstances)
        return hit.value if hit else None

    def find(self, f: Callable, circumstances: Hashable) -> CacheHit[V] | None:
        """What was kept for f, or for one like it, under these circumstances."""
        with self._lock:
            for key in (own_key := key_of(f), *self._code(f, circumstances)):
                if (value := self._values.get((key, circumstances))) is not None:
                    self._values.move_to_end((key, circumstances))
                    return CacheHit(value, key is own_key)
        return None

    def keep(self, f: Callable, circumstances: Hashable, value: V) -> None:
        with self._lock:
            code = _code_of(f)
            if code is not None:
                self._taken[code, circumstances] += 1
            for key in (key_of(f), code):
                if key is not None:
                    self._values[key, circumstances] = value
                    self._values.move_to_end((key, circumstances))
            while len(self._values) > self._size:
                key, circumstances = self._values.popitem(last=False)[0]  # type: ignore[misc]
                self._taken.pop((key, circumstances), None)

    def forget(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()
            self._taken.clear()

    def _code(self, f: Callable, circumstances: Hashable) -> tuple[Hashable, ...]:
        code = _code_of(f)
        return (code,) if code is not None and self._taken[code, circumstances] >= self._most else ()


def circumstances_of(operator: Operator, x: Tensor, args: Args) -> tuple[Hashable, ...]:
    """What a choice, or a confirmation, depends on beside f. Batches of up to twice the size share one."""
    transformed = torch.compiler.is_compiling() or is_transformed()
    points = x.shape[0].bit_length() if x.dim() > 1 else None
    kind = x.device.type
    cast = torch.get_autocast_dtype(kind) if _may_cast(kind) and torch.is_autocast_enabled(kind) else None
    around = (transformed, has_hooks(), default_device())
    modes = (torch.is_grad_enabled(), torch.get_num_threads(), torch.get_default_dtype(), cast, around)
    arg_kinds = tuple(_kind_of(arg) for arg in args)
    what = (operator.name, operator.coordinates, None if operator.weight is None else key_of(operator.weight))
    place = (x.device, kind_of(x.device))
    return (what, x.shape[1:], points, x.dim(), x.dtype, place, x.requires_grad, type(x), modes, arg_kinds)


_may_cast = functools.cache(torch.amp.is_autocast_available)


def _kind_of(arg: object) -> Hashable:
    """What is known again of an argument in the next call."""
    if isinstance(arg, Tensor):
        return (arg.dim(), arg.shape[1:], arg.dtype, arg.device, arg.requires_grad)
    return (type(arg),) if isinstance(arg, float) else key_of(arg)


def key_of(value: object, depth: int = DEPTH) -> Hashable:
    """What tells one function, or what it closes over, from another, as far as the speed of a strategy goes."""
    if isinstance(value, Tensor):
        return (Tensor, tuple(value.shape), value.dtype, value.device, value.requires_grad)
    if isinstance(value, torch.nn.Module):
        return (Same(value), value.training, *map(type, value.modules()))
    if isinstance(value, _BY_VALUE):
        return (type(value), value)
    if depth > 0:
        if isinstance(value, types.FunctionType):
            return _function(value, depth)
        if isinstance(value, types.MethodType):
            return (value.__func__, key_of(value.__self__, depth - 1))
        if isinstance(value, functools.partial):
            parts = (value.func, value.args, value.keywords)
            return (functools.partial, *(key_of(part, depth - 1) for part in parts))
        if isinstance(value, tuple | list):
            return (type(value), *(key_of(item, depth - 1) for item in value))
        if isinstance(value, dict):
            return (dict, *((key_of(k, depth - 1), key_of(item, depth - 1)) for k, item in value.items()))
    return _identity(value)


def _function(f: types.FunctionType, depth: int) -> Hashable:
    """Code, closure, defaults, and the globals that the code names; a wrapper of another function as that."""
    if (inner := getattr(f, "__wrapped__", None)) is not None:
        return key_of(inner, depth - 1)
    closure = tuple(key_of(cell.cell_contents, depth - 1) for cell in f.__closure__ or () if _filled(cell))
    defaults = key_of((f.__defaults__, f.__kwdefaults__), depth - 1)
    # What a global is, not what it closes over: it is there to stay.
    names = [name for name in _names(f.__code__) if name in f.__globals__]
    return (f.__code__, closure, defaults, *(key_of(f.__globals__[name], 0) for name in names))


@functools.lru_cache(maxsize=1024)
def _names(code: types.CodeType) -> tuple[str, ...]:
    """Names that the code and the functions inside it look up, globals among them."""
    inner = [name for constant in code.co_consts if isinstance(constant, types.CodeType) for name in _names(constant)]
    return tuple(dict.fromkeys((*code.co_names, *inner)))


def _filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _identity(value: object) -> Same | type:
    """The object itself, or its type where nothing may refer to it weakly, such as a number with a fraction."""
    try:
        return Same(value)
    except TypeError:
        return type(value)


def _code_of(f: Callable) -> Hashable | None:
    """The code of a plain function, whatever it closes over and however often it is wrapped; None of anything else."""
    f = inspect.unwrap(f)
    return f.__code__ if isinstance(f, types.FunctionType) else None
