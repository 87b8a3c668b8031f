"""The derivative of one pointwise operation in one of its arguments, entry by entry."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from jacstrat.trace import Node, Slot, bound, forward_mode, leaves

aten = torch.ops.aten

# From the result y, the first argument v and the other arguments to dy/dv.
SlopeFunction = Callable[..., Tensor]
# From the values by slot, and the result where it is known, to dy/dv.
Slope = Callable[[list[Any], Tensor | None], Tensor]


def _sigmoid(y: Tensor, v: Tensor) -> Tensor:
    return y * (1 - y)


def _silu(y: Tensor, v: Tensor) -> Tensor:
    p = torch.sigmoid(v)
    return p * (1 + v * (1 - p))


def _gelu(y: Tensor, v: Tensor, *, approximate: str = "none") -> Tensor:
    if approximate == "tanh":
        # s = v (1 + T)/2, T = tanh w, w = a (v + b v^3).
        a, b = math.sqrt(2 / math.pi), 0.044715
        squares = v * v
        T = torch.tanh(a * v * (1 + b * squares))
        return 0.5 * (1 + T + v * (1 - T * T) * (a * (1 + 3 * b * squares)))
    # s = v P, P' = p the normal density.
    return 0.5 * torch.erfc(-v * math.sqrt(0.5)) + v * torch.exp(-0.5 * v * v) * (1 / math.sqrt(2 * math.pi))


def _softplus(y: Tensor, v: Tensor, beta: float, threshold: float) -> Tensor:
    # Beyond the threshold torch takes v itself.
    return torch.where(v * beta > threshold, 1.0, torch.sigmoid(v * beta)).to(v.dtype)


def _power(y: Tensor, v: Tensor, exponent: float) -> Tensor:
    # The exponents 0, 1 and 2 apart: v^(p - 1) has a pole at 0 that its factor does not cancel, or costs a power.
    if exponent in (0, 1):
        return torch.full_like(v, exponent)
    return 2 * v if exponent == 2 else exponent * v ** (exponent - 1)


SLOPES: Mapping[Any, SlopeFunction] = MappingProxyType(
    {
        aten.tanh.default: lambda y, v: 1 - y * y,
        aten.sigmoid.default: _sigmoid,
        aten.exp.default: lambda y, v: y,
        aten.sin.default: lambda y, v: v.cos(),
        aten.cos.default: lambda y, v: -v.sin(),
        aten.log.default: lambda y, v: 1 / v,
        aten.sqrt.default: lambda y, v: 0.5 / y,
        aten.rsqrt.default: lambda y, v: -0.5 * y / v,
        aten.reciprocal.default: lambda y, v: -y * y,
        aten.relu.default: lambda y, v: (v > 0).to(v.dtype),
        aten.silu.default: _silu,
        aten.gelu.default: _gelu,
        aten.softplus.default: _softplus,
        aten.pow.Tensor_Scalar: _power,
    }
)

# Operations whose derivative is written by their result.
NEEDS_RESULT = frozenset(
    getattr(aten, name).default for name in ("tanh", "sigmoid", "exp", "sqrt", "rsqrt", "reciprocal")
) | {aten.div.Tensor}


def slope_of(node: Node, slot: int) -> Slope:
    """dy/dv of a pointwise operation, v what is in the slot, broadcast to the shape of y, the operation's first output.

    Cost: a few operations on entries; without a rule of its own, a JVP of the operation.
    """
    places = [position for position, a in enumerate(node.args) if isinstance(a, Slot) and a.index == slot]
    if node.op is aten.mul.Tensor:
        if len(places) == 2:
            return lambda environment, _: 2 * environment[slot]
        return _reader(node.args[1 - places[0]])
    if node.op is aten.div.Tensor and len(places) == 1:
        divisor = _reader(node.args[1])
        if places == [0]:
            return lambda environment, y: 1 / divisor(environment, y)
        return lambda environment, y: -_result(node, environment, y) / environment[slot]
    rest = node.args[1:]
    if places == [0] and node.op in SLOPES and not any(isinstance(leaf, Slot) for leaf in leaves(rest)):
        rule, kwargs = SLOPES[node.op], node.kwargs
        if node.op in NEEDS_RESULT:
            return lambda environment, y: rule(_result(node, environment, y), environment[slot], *rest, **kwargs)
        return lambda environment, y: rule(environment[slot], environment[slot], *rest, **kwargs)
    return lambda environment, _: derived(node, slot, environment)


def _reader(argument: Any) -> Slope:
    """An argument of an operation, from its slot or as it is."""
    if isinstance(argument, Slot):
        index = argument.index
        return lambda environment, _: environment[index]
    return lambda *_: argument


def reads(node: Node, slot: int) -> set[int]:
    """The slots that `slope_of` reads, also that of the result; of what is linear in this one, those of others."""
    slots = list(node.slots)
    is_linear = node.op is aten.mul.Tensor or (node.op is aten.div.Tensor and node.args[0] == Slot(slot))
    if is_linear and slots.count(slot) == 1:
        return set(slots) - {slot}
    return {*slots, *(out for out in node.outs if out is not None and node.op in NEEDS_RESULT)}


def derived(node: Node, slot: int, environment: list[Any]) -> Tensor:
    """The same by forward mode."""
    v = environment[slot]

    def function(v: Tensor) -> Tensor:
        inside = list(environment)
        inside[slot] = v
        kwargs = {key: bound(item, inside) for key, item in node.kwargs.items()}
        y = node.op(*bound(node.args, inside), **kwargs)
        return y[0] if node.is_tuple else y

    shape = torch.broadcast_shapes(
        *(environment[leaf.index].shape for leaf in leaves(node.args) if isinstance(leaf, Slot)),
        *(leaf.shape for leaf in leaves(node.args) if isinstance(leaf, Tensor)),
    )
    v = v if v.shape == shape else v.expand(shape).clone()
    return forward_mode.jvp(function, (v,), (torch.ones_like(v),))[1]


def _result(node: Node, environment: list[Any], y: Tensor | None) -> Tensor:
    if y is not None:
        return y
    y = node.op(*bound(node.args, environment), **node.kwargs)
    return y[0] if node.is_tuple else y
