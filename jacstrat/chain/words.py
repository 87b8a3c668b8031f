"""Operations that are neither linear nor pointwise, in words that are."""

from __future__ import annotations

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


WORDS: Mapping[Any, Callable[..., Any]] = MappingProxyType(
    {
        aten._softmax.default: _softmax,
        aten._log_softmax.default: _log_softmax,
        aten.native_layer_norm.default: _layer_norm,
    }
)
