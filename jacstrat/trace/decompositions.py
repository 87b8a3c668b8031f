"""Operations in words of others: linear and pointwise ones, whose derivatives of every order are right."""

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


def _wide(v: Tensor) -> Tensor:
    """v with room for squares, which half precision has not."""
    return _cast(v, torch.float32) if v.dtype == torch.float16 else v


def _cast(v: Tensor, dtype: torch.dtype) -> Tensor:
    # By the operation that a rule knows; `to` would be recorded as itself.
    return v if v.dtype == dtype else aten._to_copy.default(v, dtype=dtype)


def _layer_norm(
    v: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    axes = list(range(-len(shape), 0))
    dtype, v = v.dtype, _wide(v)
    mean = v.mean(axes, keepdim=True)
    c = v - mean
    scale = ((c * c).mean(axes, keepdim=True) + eps).rsqrt()
    y = _cast(c * scale, dtype)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias, _cast(mean, dtype), _cast(scale, dtype)


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
    shape = (1, -1, *(1,) * (v.dim() - 2))
    if mean is None and variance is None:  # of an instance norm, whose instances stand where channels do
        axes = [0, *range(2, v.dim())]
        mean, variance = v.mean(axes), _variance(v, axes, correction=0)
    elif training or mean is None or variance is None:
        return NotImplemented
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
    w = _wide(v)
    return _cast(_root((w * w).sum(_axes(v, dim), keepdim=keepdim)), v.dtype)


def _variance(
    v: Tensor, dim: Sequence[int] | None = None, *, correction: float | None = None, keepdim: bool = False
) -> Tensor:
    axes = _axes(v, dim)
    dtype, v = v.dtype, _wide(v)
    c = v - v.mean(axes, keepdim=True)
    number = math.prod(v.shape[axis] for axis in axes)
    return _cast((c * c).sum(axes, keepdim=keepdim) / (number - (1 if correction is None else correction)), dtype)


def _deviation(
    v: Tensor, dim: Sequence[int] | None = None, *, correction: float | None = None, keepdim: bool = False
) -> Tensor:
    return _root(_variance(v, dim, correction=correction, keepdim=keepdim))


def _axes(v: Tensor, dim: Sequence[int] | None) -> list[int]:
    return list(dim) if dim else list(range(v.dim()))


def _root(s: Tensor) -> Tensor:
    """The square root with the derivative 0 at 0, as torch has it for norms."""
    return (s + (s == 0)).sqrt() * (s != 0)


def _variance_and_mean(
    v: Tensor, dim: Sequence[int] | None = None, *, correction: float | None = None, keepdim: bool = False
) -> tuple[Tensor, Tensor]:
    return _variance(v, dim, correction=correction, keepdim=keepdim), v.mean(_axes(v, dim), keepdim=keepdim)


def _deviation_and_mean(
    v: Tensor, dim: Sequence[int] | None = None, *, correction: float | None = None, keepdim: bool = False
) -> tuple[Tensor, Tensor]:
    return _deviation(v, dim, correction=correction, keepdim=keepdim), v.mean(_axes(v, dim), keepdim=keepdim)


def _cumulative_product(v: Tensor, dim: int, *, dtype: Any = None) -> Any:
    # One product after the other: torch divides, by what may be 0 or near it.
    if dtype is not None or v.dim() == 0 or not 0 < v.shape[dim] <= _MOST_FACTORS:
        return NotImplemented
    products: list[Tensor] = []
    for part in v.unbind(dim):
        products.append(products[-1] * part if products else part)
    return torch.stack(products, dim)


def _distances(a: Tensor, b: Tensor, p: float, mode: int | None) -> Tensor:
    return torch.linalg.vector_norm(a.unsqueeze(-2) - b.unsqueeze(-3), p, -1)


_MOST_FACTORS = 64

# Operations of which torch has a derivative of the second or third order wrong, or none, in some mode.
ALWAYS: Mapping[Any, Callable[..., Any]] = MappingProxyType(
    {
        aten._cdist_forward.default: _distances,
        aten.native_group_norm.default: _group_norm,
        aten.native_batch_norm.default: _batch_norm,
        aten.glu.default: _glu,
        aten.var.correction: _variance,
        aten.std.correction: _deviation,
        aten.var_mean.correction: _variance_and_mean,
        aten.std_mean.correction: _deviation_and_mean,
        aten.cumprod.default: _cumulative_product,
    }
)
# Beside these, those that a chain of linear and pointwise operations has to be made of.
CHAINED: Mapping[Any, Callable[..., Any]] = MappingProxyType(
    {
        **ALWAYS,
        aten._softmax.default: _softmax,
        aten._log_softmax.default: _log_softmax,
        aten.native_layer_norm.default: _layer_norm,
        aten.linalg_vector_norm.default: _vector_norm,
    }
)
