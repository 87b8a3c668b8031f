"""Rules of convolutions: an element depends on a window, and on all channels of its group."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from jacstrat.structure.rules import PatternCall, UnknownError, rule
from jacstrat.structure.sets import NONE, Sets
from jacstrat.trace.operations import AtenKind

Reach = Callable[..., Tensor]


@rule(AtenKind.CONVOLVES)
def convolved(call: PatternCall) -> Sets:
    """Of the input; a weight or bias that depends on x is served as any operation without a rule."""
    call.only("input")
    kernel = call["weight"].shape[2:]
    reach = _spread if call["transposed"] else _gathered
    return _by_groups(call, call.sets("input"), kernel, call.shapes[0], reach)


@rule(AtenKind.CONVOLVES_BACK)
def convolved_back(call: PatternCall) -> list[Sets]:
    """The gradient of the input, which is the other convolution of that of the output."""
    wanted_weight, wanted_bias = call["output_mask"][1:]
    if wanted_weight or wanted_bias:
        raise UnknownError
    call.only("grad_output", "input")
    kernel = call["weight"].shape[2:]
    reach = _gathered if call["transposed"] else _spread
    gradient = _by_groups(call, call.sets("grad_output"), kernel, call["input"].shape, reach)
    # No gradients of the weight and of the bias.
    return [gradient, *(Sets.constant(shape, call.n) for shape in call.shapes[1:])]


def _by_groups(
    call: PatternCall, sets: Sets, kernel: Sequence[int], shape: Sequence[int], reach: Callable[..., Tensor]
) -> Sets:
    """The union over the channels of a group, and then over the window, for each channel of the result's group."""
    if len(shape) != len(kernel) + 2:
        raise UnknownError
    groups = call["groups"]
    grouped = Sets(sets.ids.unflatten(1, (groups, -1)), sets.table).over([2])
    ids = grouped.ids.squeeze(2)
    for axis in range(len(kernel)):
        stride, padding, dilation = (call[name][axis] for name in ("stride", "padding", "dilation"))
        ids = reach(ids, axis + 2, kernel[axis], stride, padding, dilation, shape[axis + 2])
    # Windows of all axes stand last, one axis each.
    windows = Sets(ids, grouped.table).over(range(-len(kernel), 0))
    united = windows.ids.reshape(shape[0], groups, 1, *shape[2:])
    return Sets(united.expand(-1, -1, shape[1] // groups, *shape[2:]).reshape(tuple(shape)), windows.table)


def _gathered(ids: Tensor, axis: int, kernel: int, stride: int, padding: int, dilation: int, size: int) -> Tensor:
    """Result j reads ids at stride j - padding + dilation k, k < kernel: (..., size, ..., kernel)."""
    return _read(ids, axis, kernel, stride, -padding, dilation, size)


def _spread(ids: Tensor, axis: int, kernel: int, stride: int, padding: int, dilation: int, size: int) -> Tensor:
    """Input i writes to results stride i - padding + dilation k, k < kernel: (..., size, ..., kernel)."""
    apart = ids.new_zeros(*ids.shape[:axis], (ids.shape[axis] - 1) * stride + 1, *ids.shape[axis + 1 :])
    apart[(slice(None),) * axis + (slice(None, None, stride),)] = ids
    # Result j comes from places j + padding - dilation k, which is a window that ends there.
    return _read(apart, axis, kernel, 1, padding - dilation * (kernel - 1), dilation, size)


def _read(ids: Tensor, axis: int, kernel: int, stride: int, start: int, dilation: int, size: int) -> Tensor:
    """ids at start + stride j + dilation k for j < size, k < kernel; NONE outside."""
    length = ids.shape[axis]
    places = (
        start + stride * torch.arange(size, device="cpu").unsqueeze(1) + dilation * torch.arange(kernel, device="cpu")
    )
    # One more place at the end, for all that is outside.
    padded = pad(ids.movedim(axis, -1), (0, 1), value=NONE)
    windows = padded[..., places.where((places >= 0) & (places < length), length)]
    return windows.movedim(-2, axis)
