"""Constructors that take a number, given a tensor of one: they would read it, and have no place in a recording.

A time or a condition is a tensor to a recording, so that it holds for others, and `torch.full_like(x[:, :1], t)` is how
most functions write it beside their points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.overrides import TorchFunctionMode


class FilledByTensors(TorchFunctionMode):
    """Constructors of floating-point tensors as sums with zeros, or stacks, wherever a number in them is a tensor.

    As they do, they give no derivative in it. What a number of Python would have become has torch's default dtype.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if (construct := _CONSTRUCTORS.get(func)) is not None:
            made = construct(*args, **kwargs)
            if made is not NotImplemented:
                return made
        return func(*args, **kwargs)


def _full(size: Any, fill_value: Any, **kwargs: Any) -> Any:
    kwargs.setdefault("dtype", torch.get_default_dtype())
    return _filled(torch.zeros, size, fill_value, kwargs)


def _full_like(input: Tensor, fill_value: Any, **kwargs: Any) -> Any:
    kwargs.setdefault("dtype", input.dtype)
    return _filled(torch.zeros_like, input, fill_value, kwargs)


def _new_full(self: Tensor, size: Any, fill_value: Any, **kwargs: Any) -> Any:
    kwargs.setdefault("dtype", self.dtype)
    return _filled(self.new_zeros, size, fill_value, kwargs)


def _filled(zeros: Callable[..., Tensor], like: Any, fill: Any, kwargs: dict[str, Any]) -> Any:
    dtype = kwargs["dtype"]
    if not _is_number(fill) or "out" in kwargs or dtype is None or not dtype.is_floating_point:
        return NotImplemented
    needs_grad = kwargs.pop("requires_grad", False)
    return NotImplemented if needs_grad else _as_sum(zeros(like, **kwargs), fill)


def _as_sum(zeros: Tensor, number: Tensor) -> Tensor:
    """Of numbers without axes the larger dtype is that of the sum."""
    return (zeros + number.detach()).to(zeros.dtype)


def _tensor(data: Any, *, dtype: Any = None, device: Any = None, **kwargs: Any) -> Any:
    if isinstance(data, Tensor) or kwargs.get("requires_grad") or not _has_number(data):
        return NotImplemented  # a tensor is taken as it is, by as_tensor with its graph
    if dtype is None:
        dtypes = [one for one in map(_dtype, _numbers(data)) if one is not None]
        if len(dtypes) < sum(1 for _ in _numbers(data)):
            return NotImplemented
        dtype = reduce(torch.promote_types, dtypes)
    return _stacked(data, dtype, device)


def _copied(data: Any, *, dtype: Any = None, device: Any = None, **kwargs: Any) -> Any:
    """torch.tensor, without its warning of a tensor that it is given: what f gave it may have been a number."""
    if isinstance(data, Tensor) and not kwargs:
        return data.detach().to(dtype=dtype or data.dtype, device=device or data.device, copy=True)
    return _tensor(data, dtype=dtype, device=device, **kwargs)


def _new_tensor(self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, **kwargs: Any) -> Any:
    return _tensor(data, dtype=dtype or self.dtype, device=device or self.device, **kwargs)


def _stacked(data: Any, dtype: Any, device: Any) -> Tensor:
    if isinstance(data, (list, tuple)):
        return torch.stack([_stacked(one, dtype, device) for one in data])
    if isinstance(data, Tensor):
        return _as_sum(torch.zeros((), dtype=dtype, device=device), data)
    return torch.full((), data, dtype=dtype, device=device)


def _numbers(data: Any) -> Iterator[Any]:
    if isinstance(data, (list, tuple)):
        for one in data:
            yield from _numbers(one)
    else:
        yield data


def _dtype(number: Any) -> torch.dtype | None:
    """What torch takes a number for; None of one that may have been a number of Python before it was recorded."""
    if not isinstance(number, Tensor):
        return torch.tensor(number, device="cpu").dtype
    may_be_lifted = isinstance(number, FakeTensor) and number.dtype == torch.float64
    return None if may_be_lifted and torch.get_default_dtype() != torch.float64 else number.dtype


def _has_number(data: Any) -> bool:
    """Whether data is a tensor of a number, or a list of numbers with one among them."""
    return any(map(_has_number, data)) if isinstance(data, (list, tuple)) else _is_number(data)


def _is_number(one: Any) -> bool:
    return isinstance(one, Tensor) and one.dim() == 0 and one.is_floating_point()


_CONSTRUCTORS: dict[Any, Callable[..., Any]] = {
    torch.full: _full,
    torch.full_like: _full_like,
    Tensor.new_full: _new_full,
    torch.tensor: _copied,
    torch.as_tensor: _tensor,
    Tensor.new_tensor: _new_tensor,
}
