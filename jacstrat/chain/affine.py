"""Which operations are linear, and with which coefficients those are that act on each entry alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from jacstrat.trace import Node, Slot, bound
from jacstrat.trace.operations import AtenKind, operation_of

aten = torch.ops.aten


def is_linear(op: Any) -> bool:
    """Whether an operation is linear, or affine, in all of its real tensors together, and more than a copy."""
    operation = operation_of(op)
    return operation is not None and operation.is_linear and not operation.factors and not is_copy(op)


def is_bilinear(op: Any) -> bool:
    """Whether it is linear in each of two tensors, or affine in one: a map where one alone depends on x."""
    operation = operation_of(op)
    return operation is not None and operation.is_linear and bool(operation.factors)


# From the constants by slot to the coefficient.
Coefficient = Callable[[list[Any]], "Tensor | float"]

_SHIFTS = {aten.add.Scalar, aten.sub.Scalar}


def is_copy(op: Any) -> bool:
    """Whether each entry of the result is one of the argument, in its place."""
    operation = operation_of(op)
    return operation is not None and operation.kind is AtenKind.COPIES


def coefficient(node: Node, slot: int, varying: set[int]) -> Coefficient | None:
    """The derivative of a pointwise operation in an argument, where it does not depend on the point; else None.

    Args:
        node: The operation.
        slot: Of the argument.
        varying: Slots that depend on x.
    """
    op, args = node.op, node.args
    positions = [position for position, a in enumerate(args) if isinstance(a, Slot) and a.index == slot]
    alpha = float(node.kwargs.get("alpha", 1))
    if is_copy(op) or op in _SHIFTS:
        return lambda _: 1.0
    if op is aten.neg.default:
        return lambda _: -1.0
    if op in (aten.add.Tensor, aten.sub.Tensor):
        second = alpha if op is aten.add.Tensor else -alpha
        return lambda _: sum(second if position else 1.0 for position in positions)
    if op is aten.rsub.Scalar:
        return lambda _: -float(args[2])
    others = [a for position, a in enumerate(args) if position not in positions]
    if len(positions) != 1 or any(isinstance(a, Slot) and a.index in varying for a in others):
        return None
    if op in (aten.mul.Tensor, aten.mul.Scalar):
        return lambda constants: bound(others[0], constants)
    if op in (aten.div.Tensor, aten.div.Scalar) and positions == [0]:
        return lambda constants: 1 / bound(others[0], constants)
    return None
