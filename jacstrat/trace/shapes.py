"""Shapes of results that torch works out in Python, a millisecond or more each: of what networks are made of.

Of plain tensors of one floating-point type on one device the result is of that type, there, and contiguous; whatever
else there may be is left to torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from jacstrat.zeros import tensors_in

aten = torch.ops.aten
Sizes = tuple[int, ...]


class KnownResult(NamedTuple):
    """What a result is like; contiguous."""

    shape: Sizes
    dtype: torch.dtype
    device: torch.device


def known_result(op: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> KnownResult | None:
    """What an operation gives for these arguments; None where torch is to be asked."""
    if (shape_of := _SHAPES.get(op)) is None:
        return None
    first, *others = tensors = tensors_in(args)
    dtype, device = first.dtype, device_of(first)
    if not dtype.is_floating_point or not all(map(is_plain, tensors)):
        return None
    if any(one.dtype is not dtype or device_of(one) != device for one in others):
        return None
    shape = shape_of(tensors, args, kwargs)
    return None if shape is None else KnownResult(shape, dtype, device)


def device_of(tensor: Tensor) -> torch.device:
    """Where a tensor is; of a fake one torch itself tells it by an operation."""
    return tensor.fake_device if isinstance(tensor, FakeTensor) else tensor.device


def is_plain(tensor: object) -> bool:
    """Whether it is a tensor like most: of no other class, in no other layout."""
    return isinstance(tensor, Tensor) and type(tensor) in _PLAIN and tensor.layout is torch.strided


_PLAIN = (Tensor, torch.nn.Parameter, FakeTensor)


def _pointwise(tensors: list[Tensor], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Sizes | None:
    """That of the operand that all others are broadcast to."""
    if not all(one.is_contiguous() for one in tensors):
        return None
    if not (_are_numbers(one for one in args if not isinstance(one, Tensor)) and kwargs.keys() <= _NUMBERS):
        return None
    sizes = max((tuple(one.shape) for one in tensors), key=lambda sizes: (len(sizes), sizes))
    return sizes if all(_is_broadcast(tuple(one.shape), sizes) for one in tensors) else None


# Names of arguments that are numbers, or a word, and that no shape or type depends on.
_NUMBERS = {"alpha", "beta", "approximate"}


def _are_numbers(arguments: Any) -> bool:
    # Not a truth value or a complex number, which are of other types.
    return all(type(one) in (int, float) for one in arguments)


def _is_broadcast(sizes: Sizes, to: Sizes) -> bool:
    return all(size in (1, whole) for size, whole in zip(reversed(sizes), reversed(to), strict=False))


def _alike(tensors: list[Tensor], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Sizes | None:
    """That of all."""
    return _pointwise(tensors, args, kwargs) if len({one.shape for one in tensors}) == 1 else None


def _product(tensors: list[Tensor], args: tuple[Any, ...], kwargs: Mapping[str, Any], rank: int = 2) -> Sizes | None:
    """(M, K) by (K, N), or the same for each of a batch; what is added before, if anything, has no say."""
    *summand, left, right = tensors
    if kwargs.keys() - _NUMBERS or left.dim() != rank or right.dim() != rank:
        return None
    if left.shape[-1] != right.shape[-2] or left.shape[:-2] != right.shape[:-2]:
        return None
    sizes = (*left.shape[:-1], right.shape[-1])
    return sizes if all(one.dim() <= rank and _is_broadcast(tuple(one.shape), sizes) for one in summand) else None


def _reduced(tensors: list[Tensor], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Sizes | None:
    """Without the axes that are told, or with one entry along each."""
    (v, *others), (one, *_) = args, tensors
    axes = others[0] if others else None
    if kwargs or not one.is_contiguous() or not axes or v is not one or len(others) > 2:
        return None
    rank, is_kept = one.dim(), len(others) == 2 and others[1]
    if not all(-rank <= axis < rank for axis in axes):
        return None
    gone = {axis % rank for axis in axes}
    if len(gone) < len(axes):
        return None
    sizes = (1 if axis in gone else size for axis, size in enumerate(one.shape) if is_kept or axis not in gone)
    return tuple(sizes)


_ShapeRule = Callable[[list[Tensor], tuple[Any, ...], Mapping[str, Any]], Sizes | None]

_UNARY = """
    tanh sin cos exp expm1 log log1p sqrt rsqrt sigmoid neg abs relu silu gelu erf reciprocal sinh cosh atan softplus
    elu leaky_relu
"""
_BINARY, _WITH_NUMBER = "add sub mul div", "add sub mul div rsub"
_BACKWARD = "tanh sigmoid silu gelu threshold"

_SHAPES: Mapping[Any, _ShapeRule] = MappingProxyType(
    {
        **{getattr(aten, name).default: _pointwise for name in _UNARY.split()},
        **{getattr(aten, name).Tensor: _pointwise for name in _BINARY.split()},
        **{getattr(aten, name).Scalar: _pointwise for name in _WITH_NUMBER.split()},
        aten.pow.Tensor_Scalar: _pointwise,
        **{getattr(aten, f"{name}_backward").default: _alike for name in _BACKWARD.split()},
        aten.mm.default: _product,
        aten.addmm.default: _product,
        aten.bmm.default: partial(_product, rank=3),
        aten.sum.dim_IntList: _reduced,
        aten.mean.dim: _reduced,
    }
)
