"""Operations without a rule of their own: first derivatives where that is all, else those of the operation alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from jacstrat.core.errors import UnsupportedError
from jacstrat.series.line import in_line
from jacstrat.series.polynomials import composed
from jacstrat.series.series import TaylorSeries, value_of
from jacstrat.taylor.fallback import FORWARD, REVERSE, Tensors
from jacstrat.taylor.forward import FORWARD_TWICE
from jacstrat.taylor.rule import TaylorCall
from jacstrat.trace.operations import is_random, operation_of
from jacstrat.trace.tape import leaves

_NAMES = (
    "clamp clamp.Tensor clamp_min clamp_min.Tensor clamp_max clamp_max.Tensor hardtanh leaky_relu _prelu_kernel "
    "threshold hardshrink softshrink maximum minimum fmax fmin amax amin max min max.dim min.dim median median.dim "
    "sort sort.stable topk kthvalue cummax cummin sign floor ceil round trunc frac nan_to_num scatter.value "
    "index_fill.int_Scalar "
    "where.ScalarSelf where.ScalarOther fill.Tensor zero copysign.Tensor remainder.Scalar remainder.Tensor fmod.Scalar "
    "nansum aminmax narrow "
    "im2col col2im max_pool2d_with_indices adaptive_max_pool2d avg_pool3d upsample_linear1d upsample_bilinear2d "
    "upsample_bicubic2d as_strided"
)


def _named(name: str) -> Any:
    packet, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, packet, None), overload or "default", None)


# Linear in all that varies together between points of no measure, or everywhere and not said to be so by the table.
_PIECEWISE = frozenset(filter(None, map(_named, _NAMES.split())))


def is_piecewise(op: Any) -> bool:
    """Whether an operation is linear in all that varies together, but for points of no measure."""
    operation = operation_of(op)
    return op in _PIECEWISE or (operation is not None and operation.is_linear and not operation.factors)


class Operation:
    """A call as a function of what varies in it alone.

    Fields:
        series: Its arguments that vary, each once.
        outs: What the operation gives at their values.
        followed: Numbers of the outputs that are real and used.
    """

    def __init__(self, call: TaylorCall) -> None:
        self.call = call
        arguments = (call.args, *call.kwargs.values())
        self.series = list(dict.fromkeys(leaf for leaf in leaves(arguments) if isinstance(leaf, TaylorSeries)))
        self.out = self._at(value_of)
        self.outs = list(self.out) if isinstance(self.out, (tuple, list)) else [self.out]
        self.followed = [number for number, y in enumerate(self.outs) if call.used[number] and _is_real(y)]

    @property
    def requires_grad(self) -> bool:
        """Whether autograd may want to go through it."""
        arguments = leaves((self.call.args, *self.call.kwargs.values()))
        tensors = (leaf for leaf in arguments if isinstance(leaf, Tensor))
        parts = (part for one in self.series for part in (one.value, one.tail))
        return any(tensor.requires_grad for tensor in (*tensors, *parts))

    def __call__(self, *values: Tensor) -> Tensors:
        by_identity = dict(zip(map(id, self.series), values, strict=True))

        def at(tree: Any) -> Any:
            if isinstance(tree, (tuple, list)):
                return type(tree)(map(at, tree))
            return by_identity[id(tree)] if isinstance(tree, TaylorSeries) else tree

        y = self._at(at)
        return tuple((y if isinstance(y, (tuple, list)) else (y,))[number] for number in self.followed)

    def _at(self, of: Callable[[Any], Any]) -> Any:
        return self.call.op(*of(self.call.args), **{key: of(item) for key, item in self.call.kwargs.items()})

    def with_outputs(self, outputs: list[Any]) -> Any:
        """The outputs with these in place of those that are kept."""
        outs = list(self.outs)
        for number, one in zip(self.followed, outputs, strict=True):
            outs[number] = one
        return tuple(outs) if isinstance(self.out, (tuple, list)) else outs[0]


def by_slope(call: TaylorCall, K: int) -> Any:
    """Any operation without a second derivative: its first one on each coefficient."""
    operation = Operation(call)
    if not operation.followed:
        return operation.out
    degree = max(len(one.tail) for one in operation.series)
    D = operation.series[0].directions
    mode = FORWARD if call.op in FORWARD_TWICE else REVERSE
    values = tuple(one.value for one in operation.series)
    tails = [one.full().jet(degree).full() for one in operation.series]
    slopes = vmap(lambda *t: mode.first(operation, values, t))(*tails)
    outs = (operation.outs[number] for number in operation.followed)
    return operation.with_outputs(
        [TaylorSeries(y, t.unflatten(0, (degree, D))) for y, t in zip(outs, slopes, strict=True)]
    )


def by_derivatives(call: TaylorCall, K: int) -> Any:
    """Any operation, by nested reverse mode of it alone; the derivatives of a pointwise one serve all directions.

    Raises:
        UnsupportedError: torch cannot differentiate it so often; names it.
    """
    if is_random(call.op):
        raise UnsupportedError(f"no derivatives of {call.op}, which draws other numbers at every call")
    operation = Operation(call)
    if not operation.followed:
        return operation.out
    tracked = torch.is_grad_enabled() and operation.requires_grad
    is_pointwise = torch.Tag.pointwise in getattr(call.op, "tags", ())
    entrywise = len(operation.series) == len(operation.outs) == 1 and is_pointwise
    try:
        return _entrywise(operation, K, tracked) if entrywise else _along(operation, K, tracked)
    except (RuntimeError, NotImplementedError) as error:
        text = " ".join(str(error).split())[:120]
        raise UnsupportedError(f"no derivatives of {call.op} up to order {K}: {text}") from error


def _entrywise(operation: Operation, K: int, tracked: bool) -> Any:
    (v,), (y,) = operation.series, operation.outs
    with torch.enable_grad():
        at = v.value.view_as(v.value) if tracked and v.value.requires_grad else v.value.detach().requires_grad_()
        # Each entry of a larger result by itself: what broadcasts is at its full size before.
        wide = at.expand(y.shape) if at.shape != y.shape else at
        (now,) = operation(wide)
        derivatives = [now]
        for _ in range(K):
            if not now.requires_grad:
                break
            (now,) = torch.autograd.grad(now.sum(), wide, create_graph=True, materialize_grads=True)
            derivatives.append(now)
    if not tracked:
        derivatives = [part.detach() for part in derivatives]
    polynomial = v.polynomial(y.dim())
    return operation.with_outputs([TaylorSeries.of(y, composed(polynomial, [y, *derivatives[1:]], K))])


def _along(operation: Operation, K: int, tracked: bool) -> Any:
    D = operation.series[0].directions
    full = [one.full() for one in operation.series]
    by_direction: list[list[list[Tensor]]] = []  # by direction, output and order
    for d in range(D):
        with torch.enable_grad():
            s = torch.zeros((), dtype=full[0].value.dtype, device=full[0].value.device, requires_grad=True)
            values = []
            for one in full:
                value = one.value
                for k, part in enumerate(one.tail[:, d].unbind(0), 1):
                    value = value + s**k * part
                values.append(value)
            ys = operation(*values)
            by_direction.append(in_line(ys, s, K, tracked))
    outs = []
    for number, position in enumerate(operation.followed):
        y = operation.outs[position]
        coefficients = [
            torch.stack([by_direction[d][number][k] for d in range(D)]) / math.factorial(k + 1) for k in range(K)
        ]
        outs.append(TaylorSeries(y, torch.stack(coefficients)))
    return operation.with_outputs(outs)


def _is_real(y: Any) -> bool:
    return isinstance(y, Tensor) and y.is_floating_point()
