"""Operations that are neither linear nor pointwise, in words that are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten


def _shifted(v: Tensor, dim: int) -> Tensor:
    """v less its largest entry, which no derivative depends on."""
    with torch.no_grad():
        largest = v.amax(dim, keepdim=True)
    return v - largest


def _softmax(v: Tensor, dim: int, half_to_float: bool) -> Tensor:
    e = _shifted(v, dim).exp()
    return e / e.sum(dim, keepdim=True)


def _log_softmax(v: Tensor, dim: int, half_to_float: bool) -> Tensor:
    v = _shifted(v, dim)
    return v - v.exp().sum(dim, keepdim=True).log()


def _layer_norm(
    v: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    axes = list(range(-len(shape), 0))
    mean = v.mean(axes, keepdim=True)
    c = v - mean
    scale = ((c * c).mean(axes, keepdim=True) + eps).rsqrt()
    y = c * scale
    y = y if weight is None else y * weight
    return y if bias is None else y + bias, mean, scale


def _group_norm(
    v: Tensor, weight: Tensor | None, bias: Tensor | None, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    groups = v.reshape(N, group, -1)
    y, mean, scale = _layer_norm(groups, groups.shape[-1:], None, None, eps)
    shape = (1, C, *(1,) * (v.dim() - 2))
    y = y.reshape(v.shape)
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape), mean.reshape(N, group), scale.reshape(N, group)


def _batch_norm(
    v: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    if training or mean is None or variance is None:
        return NotImplemented
    shape = (1, -1, *(1,) * (v.dim() - 2))
    y = (v - mean.reshape(shape)) * (variance + eps).rsqrt().reshape(shape)
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape), v.new_zeros(0), v.new_zeros(0)


def _glu(v: Tensor, dim: int = -1) -> Tensor:
    a, b = v.split(v.shape[dim] // 2, dim)
    return a * torch.sigmoid(b)


def _vector_norm(
    v: Tensor, p: float = 2, dim: Sequence[int] | None = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    if p != 2 or dtype is not None:
        return NotImplemented
    return _root((v * v).sum(_axes(v, dim), keepdim=keepdim))


def _variance(
    v: Tensor, dim: Sequence[int] | None = None, *, correction: float | None = None, keepdim: bool = False
) -> Tensor:
    axes = _axes(v, dim)
    c = v - v.mean(axes, keepdim=True)
    number = math.prod(v.shape[axis] for axis in axes)
    return (c * c).sum(axes, keepdim=keepdim) / (number - (1 if correction is None else correction))


def _deviation(
    v: Tensor, dim: Sequence[int] | None = None, *, correction: float | None = None, keepdim: bool = False
) -> Tensor:
    return _root(_variance(v, dim, correction=correction, keepdim=keepdim))


def _axes(v: Tensor, dim: Sequence[int] | None) -> list[int]:
    return list(dim) if dim else list(range(v.dim()))


def _root(s: Tensor) -> Tensor:
    """The square root with the derivative 0 at 0, as torch has it for norms."""
    return (s + (s == 0)).sqrt() * (s != 0)


WORDS: Mapping[Any, Callable[..., Any]] = MappingProxyType(
    {
        aten._softmax.default: _softmax,
        aten._log_softmax.default: _log_softmax,
        aten.native_layer_norm.default: _layer_norm,
        aten.native_group_norm.default: _group_norm,
        aten.native_batch_norm.default: _batch_norm,
        aten.glu.default: _glu,
        aten.linalg_vector_norm.default: _vector_norm,
        aten.var.correction: _variance,
        aten.std.correction: _deviation,
    }
)
