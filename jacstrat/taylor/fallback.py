"""Any operation: its derivatives along each tangent and twice along it, of the operation alone, all tangents at once.

By the VJP, and the VJP of that, which torch has right as a rule; by JVPs, which take fewer operations, where a table
says that these are right, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import grad, vjp, vmap

from jacstrat.core.errors import UnsupportedError
from jacstrat.taylor.forward import FORWARD_TWICE
from jacstrat.taylor.jet import Jet, plus
from jacstrat.taylor.pointwise import propagated
from jacstrat.taylor.rule import Rule, TaylorCall
from jacstrat.trace.forward_mode import jvp
from jacstrat.trace.operations import is_random
from jacstrat.trace.tape import leaves

Tensors = tuple[Tensor, ...]
TensorsFunction = Callable[..., Tensors]


class Mode(NamedTuple):
    """Two ways to one thing: (function, v, t) -> D function(v)[t], and -> D2 function(v)[t, t]."""

    first: Callable[[TensorsFunction, Tensors, Tensors], Tensors]
    second: Callable[[TensorsFunction, Tensors, Tensors], Tensors]


def _any(call: TaylorCall) -> Any:
    jets = list(dict.fromkeys(leaf for leaf in leaves((call.args, *call.kwargs.values())) if isinstance(leaf, Jet)))
    out = _done(call, None)
    outs = out if isinstance(out, (tuple, list)) else (out,)
    followed = [number for number, y in enumerate(outs) if call.used[number] and _is_real(y)]
    if not followed:
        return out
    if is_random(call.op):
        raise UnsupportedError(f"taylor cannot differentiate {call.op}, which draws other numbers at every call")

    def function(*values: Tensor) -> Tensors:
        y = _done(call, dict(zip(map(id, jets), values, strict=True)))
        return tuple((y if isinstance(y, (tuple, list)) else (y,))[number] for number in followed)

    real = [outs[number] for number in followed]
    results = _derived(call, function, jets, real, FORWARD if call.op in FORWARD_TWICE else REVERSE)
    everything: list[Any] = list(outs)
    for number, result in zip(followed, results, strict=True):
        everything[number] = result
    return tuple(everything) if isinstance(out, (tuple, list)) else everything[0]


ANY = Rule(_any)


def _derived(call: TaylorCall, function: TensorsFunction, jets: list[Jet], outs: list[Tensor], mode: Mode) -> list[Jet]:
    """The jets of a function's results `outs`."""
    values = tuple(jet.value for jet in jets)
    if len(jets) == len(outs) == 1 and torch.Tag.pointwise in getattr(call.op, "tags", ()):
        # Entry by entry: s' and s'' at each, along 1, serve all tangents.
        one = (torch.ones_like(values[0]),)
        (first,), (second,) = mode.first(function, values, one), mode.second(function, values, one)
        return [propagated(call, jets[0], outs[0], first, second)]
    tangents = [jet.full() for jet in jets]
    firsts, seconds = vmap(lambda *t: (mode.first(function, values, t), mode.second(function, values, t)))(*tangents)
    carried: list[Tensor | None] = [None] * len(outs)
    if any(jet.laplacian is not None for jet in jets):
        laplacians = (torch.zeros_like(jet.value) if jet.laplacian is None else jet.laplacian for jet in jets)
        carried = list(mode.first(function, values, tuple(laplacians)))
    # Not owned: those of a view share the storage of the argument's.
    return [
        Jet(y, first if call.wants_tangents else None, plus(second.sum(0), part))
        for y, first, second, part in zip(outs, firsts, seconds, carried, strict=True)
    ]


def _forward(function: TensorsFunction, values: Tensors, t: Tensors) -> Tensors:
    return jvp(function, values, t)[1]


def _forward_twice(function: TensorsFunction, values: Tensors, t: Tensors) -> Tensors:
    return jvp(lambda *values: _forward(function, values, t), values, t)[1]


def _reverse(function: TensorsFunction, values: Tensors, t: Tensors) -> Tensors:
    # The VJP g -> g^T D is linear in g: its own VJP at t is D t.
    y, pull, *_ = vjp(function, *values)
    _, push, *_ = vjp(pull, tuple(map(torch.zeros_like, y)))
    return push(t)[0]


def _reverse_twice(function: TensorsFunction, values: Tensors, t: Tensors) -> Tensors:
    # g^T D2[t, t] is the derivative of g^T D t along t, and linear in g: its gradient there is D2[t, t].
    def bend(g: Tensors) -> Tensor:
        def slope(*values: Tensor) -> Tensor:
            return _dot(vjp(function, *values)[1](g), t)

        return _dot(grad(slope, argnums=tuple(range(len(values))))(*values), t)

    return grad(bend)(tuple(map(torch.zeros_like, function(*values))))


def _dot(a: Tensors, b: Tensors) -> Tensor:
    return torch.stack([(p * q).sum() for p, q in zip(a, b, strict=True)]).sum()


FORWARD = Mode(_forward, _forward_twice)
REVERSE = Mode(_reverse, _reverse_twice)


def _is_real(y: Any) -> bool:
    return isinstance(y, Tensor) and y.is_floating_point()


def _done(call: TaylorCall, values: dict[int, Tensor] | None) -> Any:
    """The operation at the values of its jets, or at those given by the identity of each."""

    def at(tree: Any) -> Any:
        if isinstance(tree, Jet):
            return tree.value if values is None else values[id(tree)]
        return type(tree)(map(at, tree)) if isinstance(tree, (tuple, list)) else tree

    return call.op(*at(call.args), **{key: at(argument) for key, argument in call.kwargs.items()})
