"""A closed form that is written in numpy, evaluated by torch: in float64, wherever the points are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

# Functions of numpy that torch has under another name; the others have the same, and axis and keepdims are understood.
_NAMES: Mapping[str, str] = MappingProxyType({"power": "pow", "conjugate": "conj", "max": "amax", "min": "amin"})
_METHODS: Mapping[str, str] = MappingProxyType(
    {"sum": "sum", "mean": "mean", "prod": "prod", "max": "amax", "reshape": "reshape"}
)
# Those of numpy's functions that are given a dtype: all is in float64 here.
_OF_DTYPE = ("sum", "ones_like", "zeros_like", "full_like")
# Coordinates of the points that go through together: each of their matrices of 64 rows takes 256 MiB.
COORDINATES = 2**19


class UntranslatedError(TypeError):
    """The closed form does what is not known here of torch; it is to be evaluated by numpy."""


class Array(np.lib.mixins.NDArrayOperatorsMixin):
    """A tensor in float64 that numpy takes for an array of its own: each function is torch's of the same name.

    What has no such function raises UntranslatedError, and nothing goes over to numpy unseen: the array has no
    `__array__`.

    Fields:
        tensor: The numbers.
    """

    __array_priority__ = 1000

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **keywords: Any) -> Any:
        if method != "__call__":
            raise UntranslatedError(f"{ufunc.__name__}.{method}")
        result = self._called(ufunc.__name__, inputs, keywords)
        if out is None:
            return result
        # x += y, of which this is x.
        (target,) = out
        target.tensor.copy_(result.tensor)
        return target

    def __array_function__(self, func: Any, types: Any, args: Any, keywords: Any) -> Any:
        if func is np.apply_along_axis:
            return self._points(*args, **keywords)
        return self._called(func.__name__, args, keywords)

    def _called(self, name: str, inputs: Any, keywords: Mapping[str, Any]) -> Any:
        function = getattr(torch, _NAMES.get(name, name), None)
        if function is None:
            raise UntranslatedError(name)
        if name in _OF_DTYPE:
            keywords = {key: value for key, value in keywords.items() if key != "dtype"}
        tensors = tree_map(self._tensor, (tuple(inputs), dict(keywords)))
        return _wrapped(function(*tensors[0], **tensors[1]))

    def _tensor(self, one: Any) -> Any:
        """An operand as torch takes it: arrays of numbers in float64, here."""
        if isinstance(one, Array):
            return one.tensor
        if isinstance(one, np.ndarray):
            return _of_numpy(one, self.tensor.device)
        return one.item() if isinstance(one, np.generic) else one

    def _points(self, of_point: Callable[[Array], Array], axis: int, x: Array) -> Array:
        """of_point at each point, (B, n), many together."""
        if axis not in (-1, x.ndim - 1) or x.ndim != 2:
            raise UntranslatedError("apply_along_axis")
        together = max(COORDINATES // x.shape[-1], 1)
        return Array(torch.vmap(lambda row: of_point(Array(row)).tensor, chunk_size=together)(x.tensor))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.complex128 if self.tensor.is_complex() else np.float64)

    @property
    def ndim(self) -> int:
        return self.tensor.dim()

    @property
    def T(self) -> Array:
        return Array(self.tensor.permute(*reversed(range(self.tensor.dim()))))

    def __len__(self) -> int:
        return len(self.tensor)

    def __getitem__(self, key: Any) -> Array:
        return Array(self.tensor[tree_map(self._tensor, key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.tensor[tree_map(self._tensor, key)] = self._tensor(value)

    def __getattr__(self, name: str) -> Any:
        # Protocols that numpy looks for are to find nothing.
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in _METHODS:
            raise UntranslatedError(name)
        method = getattr(self.tensor, _METHODS[name])
        return lambda *args, **keywords: _wrapped(method(*args, **keywords))


def _wrapped(value: Any) -> Any:
    return Array(value) if isinstance(value, Tensor) else value


def _of_numpy(array: np.ndarray, device: torch.device) -> Tensor:
    if array.dtype.kind not in "fc":
        return torch.from_numpy(array).to(device)
    wide = np.complex128 if array.dtype.kind == "c" else np.float64
    return torch.from_numpy(array.astype(wide)).to(device)


def evaluated(form: Callable[..., Any], x: Tensor, args: tuple[Any, ...], known: Mapping[str, Any]) -> Tensor:
    """The terms of a closed form at x in float64, on the device of x.

    Args:
        form: A numpy function, called as form(x, *args, **known).
        x: Points, (B, n).
        args, known: Tensors among them go to float64, as rounded to their dtype.

    Raises:
        UntranslatedError: The form does what torch is not known to do.
    """

    def taken(one: Any) -> Any:
        if not isinstance(one, Tensor):
            return one
        one = one.detach()
        return Array(one.to(torch.complex128 if one.is_complex() else torch.float64))

    with torch.no_grad():
        result = form(taken(x), *map(taken, args), **{name: taken(value) for name, value in known.items()})
        if not isinstance(result, Array):
            raise UntranslatedError(f"a result that is a {type(result).__name__}")
        return result.tensor
