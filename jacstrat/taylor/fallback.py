"""Any operation: its derivatives along each tangent and twice along it, of the operation alone, all tangents at once.

By a JVP of a JVP where that is right. It is not for a custom Function, nor for an operation that hands intermediate
results to its derivative: torch takes these for constants in the second JVP, and says nothing. Their backward is right
at every order, and a JVP is the VJP of the VJP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import vjp, vmap

from jacstrat.errors import UnsupportedError
from jacstrat.taylor.jet import Jet, plus
from jacstrat.taylor.pointwise import propagated
from jacstrat.taylor.rule import Call, Rule
from jacstrat.taylor.tape import leaves

Tensors = tuple[Tensor, ...]
Function = Callable[..., Tensors]
# (function, at, t) -> D function(at)[t]
Slope = Callable[[Function, Tensors, Tensors], Tensors]


def _any(call: Call) -> Any:
    jets = list(dict.fromkeys(leaf for leaf in leaves((call.args, *call.kwargs.values())) if isinstance(leaf, Jet)))
    out = _done(call, None)
    outs = out if isinstance(out, (tuple, list)) else (out,)
    kept = [number for number, y in enumerate(outs) if call.used[number] and _is_real(y)]
    if not kept:
        return out
    if torch.Tag.nondeterministic_seeded in getattr(call.op, "tags", ()):
        raise UnsupportedError(f"taylor cannot differentiate {call.op}, which draws other numbers at every call")

    def function(*values: Tensor) -> Tensors:
        y = _done(call, dict(zip(map(id, jets), values, strict=True)))
        return tuple((y if isinstance(y, (tuple, list)) else (y,))[number] for number in kept)

    alone = getattr(call.op, "namespace", None) == "aten" and sum(map(_is_real, outs)) == 1
    slopes = (_forward, _reverse) if alone else (_reverse,)
    for slope in slopes:
        try:
            results = _derived(call, function, jets, [outs[number] for number in kept], slope)
            break
        except NotImplementedError:
            if slope is slopes[-1]:
                raise
    everything: list[Any] = list(outs)
    for number, result in zip(kept, results, strict=True):
        everything[number] = result
    return tuple(everything) if isinstance(out, (tuple, list)) else everything[0]


ANY = Rule(_any)


def _derived(call: Call, function: Function, jets: list[Jet], outs: list[Tensor], slope: Slope) -> list[Jet]:
    """The jets of a function's results `outs`."""
    values = tuple(jet.value for jet in jets)
    if len(jets) == len(outs) == 1 and torch.Tag.pointwise in getattr(call.op, "tags", ()):
        # Entry by entry: s' and s'' at each, along 1, serve all tangents.
        (first,), (second,) = _twice(slope, function, values, (torch.ones_like(values[0]),))
        return [propagated(call, jets[0], outs[0], first, second)]
    firsts, seconds = vmap(lambda *t: _twice(slope, function, values, t))(*(jet.full() for jet in jets))
    carried: list[Tensor | None] = [None] * len(outs)
    if any(jet.laplacian is not None for jet in jets):
        laplacians = (torch.zeros_like(jet.value) if jet.laplacian is None else jet.laplacian for jet in jets)
        carried = list(slope(function, values, tuple(laplacians)))
    return [
        Jet(y, first if call.wants_tangents else None, plus(second.sum(0), part), owned=True)
        for y, first, second, part in zip(outs, firsts, seconds, carried, strict=True)
    ]


def _twice(slope: Slope, function: Function, values: Tensors, t: Tensors) -> tuple[Tensors, Tensors]:
    """D[t] and D2[t, t]."""
    return slope(function, values, t), slope(lambda *values: slope(function, values, t), values, t)


def _forward(function: Function, values: Tensors, t: Tensors) -> Tensors:
    return torch.func.jvp(function, values, t)[1]


def _reverse(function: Function, values: Tensors, t: Tensors) -> Tensors:
    # The VJP g -> g^T D is linear in g, and its own VJP at t is D t.
    y, pull, *_ = vjp(function, *values)
    _, push, *_ = vjp(pull, tuple(map(torch.zeros_like, y)))
    return push(t)[0]


def _is_real(y: Any) -> bool:
    return isinstance(y, Tensor) and y.is_floating_point()


def _done(call: Call, values: dict[int, Tensor] | None) -> Any:
    """The operation at the values of its jets, or at those given by the identity of each."""

    def at(tree: Any) -> Any:
        if isinstance(tree, Jet):
            return tree.value if values is None else values[id(tree)]
        return type(tree)(map(at, tree)) if isinstance(tree, (tuple, list)) else tree

    return call.op(*at(call.args), **{key: at(argument) for key, argument in call.kwargs.items()})
