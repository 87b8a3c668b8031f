"""Operations recorded in words of others that have a rule, so that they need none."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from jacstrat.trace.decompositions import CHAINED

aten = torch.ops.aten


def _silu(v: Tensor) -> Tensor:
    return v * torch.sigmoid(v)


def _mish(v: Tensor) -> Tensor:
    return v * torch.tanh(aten.softplus.default(v))


def _gelu(v: Tensor, *, approximate: str = "none") -> Tensor:
    if approximate == "tanh":
        return 0.5 * v * (1 + torch.tanh(math.sqrt(2 / math.pi) * v * (1 + 0.044715 * (v * v))))
    return 0.5 * v * torch.erfc(-math.sqrt(0.5) * v)


def _elu(v: Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Tensor:
    # The other side of the kink is at 0 where it is not taken, or its exponential would overflow.
    is_positive = v > 0
    low = torch.expm1(v.masked_fill(is_positive, 0.0) * input_scale) * (alpha * scale)
    return torch.where(is_positive, v * scale, low)


def _celu(v: Tensor, alpha: float = 1.0) -> Tensor:
    return _elu(v, alpha, 1, 1 / alpha)


def _selu(v: Tensor) -> Tensor:
    return _elu(v, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


def _log_sum_exp(v: Tensor, dim: Sequence[int], keepdim: bool = False) -> Any:
    if v.dim() == 0 or 0 in v.shape:
        return NotImplemented
    axes = list(dim) or list(range(v.dim()))
    with torch.no_grad():
        largest = v.amax(axes, keepdim=True)
        largest = largest.masked_fill(largest.isinf(), 0.0)
    y = (v - largest).exp().sum(axes, keepdim=True).log() + largest
    return y if keepdim else y.squeeze(axes)


def _log_add_exp(a: Tensor, b: Tensor) -> Tensor:
    # A threshold that nothing reaches, as the other function has none.
    return torch.maximum(a, b) + aten.softplus.default(-(a - b).abs(), 1, math.inf)


def _hypot(a: Tensor, b: Tensor) -> Tensor:
    return (a * a + b * b).sqrt()


def _add_product(v: Tensor, a: Tensor, b: Tensor, *, value: float = 1) -> Tensor:
    return v + a * b * value


def _add_quotient(v: Tensor, a: Tensor, b: Tensor, *, value: float = 1) -> Tensor:
    return v + a / b * value


def _lerp(a: Tensor, b: Tensor, weight: Any) -> Tensor:
    return a + (b - a) * weight


def _norm(
    v: Tensor, p: float = 2, dim: Sequence[int] | None = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    if p == 2 or dtype is not None or not p > 0:
        return CHAINED[aten.linalg_vector_norm.default](v, p, dim, keepdim, dtype=dtype)
    axes = list(dim) if dim else list(range(v.dim()))
    size = v.abs()
    if p == 1:
        return size.sum(axes, keepdim=keepdim)
    return size.amax(axes, keepdim=keepdim) if p == math.inf else (size**p).sum(axes, keepdim=keepdim) ** (1 / p)


def _product(v: Tensor, dim: int, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """As a tree of products of two."""
    if dtype is not None or v.dim() == 0 or v.shape[dim] == 0:
        return NotImplemented
    while (size := v.shape[dim]) > 1:
        half = size // 2
        # By the operation that has a rule; `narrow` would be recorded as itself.
        first, second, odd = (aten.slice.Tensor(v, dim, at, at + half) for at in (0, half, 2 * half))
        v = torch.cat((first * second, odd), dim) if size % 2 else first * second
    return v if keepdim else v.squeeze(dim)


def _product_of_all(v: Tensor, *, dtype: Any = None) -> Any:
    return _product(aten.view.default(v.contiguous(), [-1]), 0, dtype=dtype)


def _safe_softmax(v: Tensor, dim: int, dtype: Any = None) -> Any:
    # Rows of -inf alone are left to the operation.
    return NotImplemented if dtype is not None else CHAINED[aten._softmax.default](v, dim, False)


def _x_log_y(a: Tensor, b: Tensor) -> Tensor:
    return a * torch.where((a == 0) & (b == 0), 1.0, b).log()


def _squared_error(a: Tensor, b: Tensor, reduction: int = 1) -> Tensor:
    square = (a - b) * (a - b)
    return square if reduction == 0 else square.mean() if reduction == 1 else square.sum()


def _reversed_difference(a: Tensor, b: Tensor, *, alpha: float = 1) -> Tensor:
    return b - a * alpha


def _filled(v: Tensor, mask: Tensor, value: Tensor) -> Tensor:
    return torch.where(mask, value, v)


def _tanh_backward(g: Tensor, y: Tensor) -> Tensor:
    return g * (1 - y * y)


def _sigmoid_backward(g: Tensor, y: Tensor) -> Tensor:
    return g * (y * (1 - y))


def _threshold_backward(g: Tensor, v: Tensor, threshold: float) -> Tensor:
    return torch.where(v <= threshold, 0.0, g)


def _softplus_backward(g: Tensor, v: Tensor, beta: float, threshold: float) -> Tensor:
    return torch.where(v * beta > threshold, g, g * torch.sigmoid(v * beta))


def _silu_backward(g: Tensor, v: Tensor) -> Tensor:
    p = torch.sigmoid(v)
    return g * (p * (1 + v * (1 - p)))


def _softmax_backward(g: Tensor, y: Tensor, dim: int, dtype: Any) -> Tensor:
    product = g * y
    return product - y * product.sum(dim, keepdim=True)


def _log_softmax_backward(g: Tensor, y: Tensor, dim: int, dtype: Any) -> Tensor:
    return g - y.exp() * g.sum(dim, keepdim=True)


def _norm_along(v: Tensor, p: float | None, dim: Sequence[int], keepdim: bool = False) -> Any:
    return _norm(v, 2 if p is None else p, dim, keepdim)


DECOMPOSITIONS: Mapping[Any, Callable[..., Any]] = MappingProxyType(
    {
        **CHAINED,
        aten.silu.default: _silu,
        aten.mish.default: _mish,
        aten.gelu.default: _gelu,
        aten.elu.default: _elu,
        aten.celu.default: _celu,
        aten.selu.default: _selu,
        aten.logsumexp.default: _log_sum_exp,
        aten.logaddexp.default: _log_add_exp,
        aten.hypot.default: _hypot,
        aten.addcmul.default: _add_product,
        aten.addcdiv.default: _add_quotient,
        aten.lerp.Scalar: _lerp,
        aten.lerp.Tensor: _lerp,
        aten.linalg_vector_norm.default: _norm,
        aten.norm.ScalarOpt_dim: _norm_along,
        aten._safe_softmax.default: _safe_softmax,
        aten.xlogy.Tensor: _x_log_y,
        aten.mse_loss.default: _squared_error,
        aten.rsub.Tensor: _reversed_difference,
        aten.masked_fill.Tensor: _filled,
        aten.prod.dim_int: _product,
        aten.prod.default: _product_of_all,
        # What a gradient inside the function is made of.
        aten.tanh_backward.default: _tanh_backward,
        aten.sigmoid_backward.default: _sigmoid_backward,
        aten.threshold_backward.default: _threshold_backward,
        aten.softplus_backward.default: _softplus_backward,
        aten.silu_backward.default: _silu_backward,
        aten._softmax_backward_data.default: _softmax_backward,
        aten._log_softmax_backward_data.default: _log_softmax_backward,
    }
)
