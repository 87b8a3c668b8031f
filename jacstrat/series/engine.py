"""Taylor series through a tape, once, along many directions at a time.

The tape is prepared as for Taylor mode, and its table says which operations are linear in what varies: these take the
coefficients of a series as they take tangents.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from jacstrat.core.errors import UnsupportedError
from jacstrat.core.modelled import kind_of
from jacstrat.series.decompositions import DECOMPOSITIONS
from jacstrat.series.operations import by_derivatives, by_slope, is_piecewise
from jacstrat.series.series import TaylorSeries, from_jet, value_of
from jacstrat.series.table import SERIES_RULES
from jacstrat.taylor.node import TaylorNode
from jacstrat.taylor.preparation import ready
from jacstrat.taylor.program import TaylorProgram, weak_factory
from jacstrat.taylor.rule import NotCovered, TaylorCall
from jacstrat.trace import Tapes, Untraceable, bound, leaves
from jacstrat.trace.arguments import Args, Function, lifted

# The largest tail of what directions are followed together: on a CPU such that it stays near the core, while it is
# still much work against the time of starting an operation.
CPU_BYTES, DEVICE_BYTES = 2**24, 2**30


class TapedLine:
    """A row-wise function and its tapes, made when they are first asked for, to be followed along lines.

    Args:
        f: Row-wise, (B, n) -> (B,) or (B, m), called as f(x, *args).
    """

    def __init__(self, f: Function) -> None:
        self.f = f
        self._tapes = Tapes(f, ready, decompositions=DECOMPOSITIONS, weak_factory=weak_factory)

    def tape(self, x: Tensor, args: Args = ()) -> TaylorProgram | Untraceable:
        """The tape at points like x, or why there is none."""
        return self._tapes.at(x, args)

    def derivatives(self, x: Tensor, V: Tensor, order: int, args: Args = ()) -> Tensor:
        """d^k/ds^k f(x + s v) at s = 0 for k = 0 .. order and each direction v.

        Gives (D, order + 1, B), or (D, order + 1, B, m). Differentiable in x, V and what f holds.

        Args:
            x: Points, (B, n) or (n,).
            V: Directions, (D, n), or each point's own, (D, B, n).
            order: At least 1.
            args: Further arguments of f.

        Raises:
            UnsupportedError: There is no tape, or an operation cannot be differentiated so often; names it.

        Cost: each operation on D (order + 1) tensors where it is linear, on D order^2 / 2 where it is not; directions
        are taken in parts where they are many.
        """
        program = self.tape(x, args)
        if isinstance(program, Untraceable):
            raise UnsupportedError(f"the function cannot be traced: {program}")
        limit = CPU_BYTES if kind_of(x.device) == "cpu" else DEVICE_BYTES
        together = max(limit // max(program.numel * order * x.element_size(), 1), 1)
        parts = [_derivatives(program, x, part, order, args) for part in V.split(together)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def _derivatives(program: TaylorProgram, x: Tensor, V: Tensor, order: int, args: Args) -> Tensor:
    y = follow(program, x, V, order, args)
    value, D = value_of(y), len(V)
    derivatives = [value.expand(D, *value.shape)]
    tail = y.full().tail.unbind(0) if isinstance(y, TaylorSeries) else ()
    derivatives += [float(math.factorial(k)) * part for k, part in enumerate(tail, 1)]
    derivatives += [torch.zeros_like(derivatives[0])] * (order + 1 - len(derivatives))
    return torch.stack(derivatives, 1)


def follow(program: TaylorProgram, x: Tensor, V: Tensor, order: int, args: Args = ()) -> TaylorSeries | Tensor:
    """The series of a program's result along directions; the value alone where it does not depend on them."""
    V = V.unsqueeze(1) if x.dim() == 2 and V.dim() == 2 else V
    tensors = [arg for arg in lifted(args) if isinstance(arg, Tensor)]
    empty = (None,) * (program.size - 1 - len(tensors))
    environment: list[Any] = [TaylorSeries(x, V.unsqueeze(0)), *tensors, *empty, *program.constants]
    for node in program.nodes:
        inputs = node.take(environment) if node.take else bound(node.args, environment)
        kwargs = {key: bound(item, environment) for key, item in node.kwargs.items()}
        out = _done(node, inputs, kwargs, order)
        for slot, one in zip(node.outs, out if node.is_tuple else (out,), strict=True):
            if slot is not None:
                environment[slot] = one
        del inputs, kwargs, out
        for slot in node.dead_after:
            environment[slot] = None
    return environment[program.output]


def _done(node: TaylorNode, args: tuple[Any, ...], kwargs: dict[str, Any], order: int) -> Any:
    """What a node gives."""
    if node.is_cut:
        return node.op(*_constant(args), **{key: _constant(item) for key, item in kwargs.items()})
    varying = [leaf for leaf in leaves((args, *kwargs.values())) if isinstance(leaf, TaylorSeries)]
    if not varying:
        return node.op(*args, **kwargs)
    call = TaylorCall(node.op, args, kwargs, used=node.used)
    arguments = [any(isinstance(leaf, TaylorSeries) for leaf in leaves(a)) for a in args]
    is_linear = any(arguments) and node.rule.is_linear(arguments)
    try:
        if is_linear:
            return _linear(node, call, varying)
        return (
            by_slope(call, order) if is_piecewise(node.op) else SERIES_RULES.get(node.op, by_derivatives)(call, order)
        )
    except NotCovered:
        return by_slope(call, order) if is_linear else by_derivatives(call, order)


def _linear(node: TaylorNode, call: TaylorCall, varying: list[TaylorSeries]) -> Any:
    """By Taylor mode's rule, which takes each coefficient behind the first for a tangent."""
    degree, D = max(len(one.tail) for one in varying), varying[0].directions
    jets = {id(one): one.jet(degree) for one in varying}

    def of(tree: Any) -> Any:
        if isinstance(tree, (tuple, list)):
            return type(tree)(map(of, tree))
        return jets[id(tree)] if isinstance(tree, TaylorSeries) else tree

    kwargs = {key: of(item) for key, item in call.kwargs.items()}
    out = node.rule.apply(call._replace(args=of(call.args), kwargs=kwargs))
    return tuple(from_jet(one, D) for one in out) if isinstance(out, (tuple, list)) else from_jet(out, D)


def _constant(tree: Any) -> Any:
    if isinstance(tree, (tuple, list)):
        return type(tree)(map(_constant, tree))
    v = value_of(tree)
    return v.detach() if isinstance(v, Tensor) else v
