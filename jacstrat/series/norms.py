"""Normalisations in plain words, as long as a mode lasts: torch's own have a third derivative that is wrong.

The second derivative of `layer_norm`, and of a batch norm with the statistics of the batch, as of an instance norm, is
made of intermediate results that are constants to autograd. That of `logcumsumexp` three times by reverse mode is
wrong, too; over an axis of length 1 it does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from jacstrat.trace.arguments import Function
from jacstrat.trace.decompositions import CHAINED
from jacstrat.trace.tracers import Watch, is_taped

_layer_norm_in_words = CHAINED[torch.ops.aten.native_layer_norm.default]


class PlainNorms(Watch):
    """Layer and instance norms as what they are made of.

    Attributes:
        seen: There was one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        plain = _PLAIN.get(func)
        result: Any = NotImplemented if plain is None else plain(*args, **(kwargs or {}))
        if result is NotImplemented:
            return func(*args, **(kwargs or {}))
        self.seen = True
        return result


def in_plain_words(f: Function) -> Function:
    """f with its normalisations as what they are made of; but to a recording, which has rules for them."""

    def function(x: Tensor, *args: Any) -> Tensor:
        if is_taped():
            return f(x, *args)
        with PlainNorms():
            return f(x, *args)

    return function


def _layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    return _layer_norm_in_words(input, normalized_shape, weight, bias, eps)[0]


def _instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Any:
    if running_mean is not None or running_var is not None or not use_input_stats:
        return NotImplemented
    y = _layer_norm_in_words(input, input.shape[2:], None, None, eps)[0]
    shape = (1, -1, *(1,) * (input.dim() - 2))
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def _torch_instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Any:
    """The same by torch's own order of arguments, which is another."""
    return _instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def _logcumsumexp(input: Tensor, dim: int, *, out: Tensor | None = None) -> Any:
    is_alone = isinstance(dim, int) and (input.dim() == 0 or input.shape[dim] == 1)
    return input.clone() if is_alone and out is None and input.is_floating_point() else NotImplemented


_PLAIN: dict[Any, Callable[..., Any]] = {
    functional.layer_norm: _layer_norm,
    torch.layer_norm: _layer_norm,
    functional.instance_norm: _instance_norm,
    torch.instance_norm: _torch_instance_norm,
    torch.logcumsumexp: _logcumsumexp,
    Tensor.logcumsumexp: _logcumsumexp,
}
