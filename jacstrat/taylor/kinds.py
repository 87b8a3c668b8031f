"""What the operation of a node does to supports, where Taylor mode has a rule that is right with fewer directions."""

from __future__ import annotations

import torch

from jacstrat.taylor.fallback import ANY
from jacstrat.taylor.node import TaylorNode
from jacstrat.trace.operations import AtenKind, AtenOperation, Axes, Factor, axes_of, operation_of

# Entries of one tensor in other places; what fills up is 0.
MOVES = frozenset((AtenKind.MOVES, AtenKind.PERMUTES, AtenKind.RESHAPES, AtenKind.PICKS))
_ENTRYWISE = frozenset((AtenKind.COPIES, AtenKind.POINTWISE))


def covered(node: TaylorNode) -> AtenOperation | None:
    """What the operation does; None where that is not known, or where the rule for any operation serves it."""
    return None if node.rule is ANY else operation_of(node.op)


def is_entrywise(node: TaylorNode) -> bool:
    """Whether entries stay apart, which the rule for any operation knows by torch's tag alone."""
    operation = covered(node)
    is_known = operation is not None and operation.kind in _ENTRYWISE
    return is_known or torch.Tag.pointwise in getattr(node.op, "tags", ())


def is_sum(node: TaylorNode) -> bool:
    """Whether it is a sum or a mean."""
    operation = covered(node)
    return operation is not None and operation.kind is AtenKind.REDUCES and operation.is_linear


def matrices(node: TaylorNode) -> tuple[Factor, ...]:
    """The factors of a product of matrices, or of batches of them; none for any other operation."""
    operation = covered(node)
    if operation is None or operation.kind is not AtenKind.CONTRACTS:
        return ()
    return () if any(factor.rank == 1 for factor in operation.factors) else operation.factors


def taken_together(node: TaylorNode, position: int, rank: int) -> Axes | None:
    """The axes along which an operation takes its one argument that depends on x; None where that is not known.

    Args:
        node: The operation.
        position: Of the argument.
        rank: Of the argument.
    """
    for factor in matrices(node):
        if factor.position == position and factor.contracted is not None and not is_of_weights(node, factor):
            return Axes((factor.contracted,))
    return axes_of(node.op, node.args, rank) if position == 0 and covered(node) is not None else None


def is_of_weights(node: TaylorNode, factor: Factor) -> bool:
    """Whether a factor is the weights of a layer, which its rule takes for constant."""
    return node.op is torch.ops.aten.linear.default and factor.position == 1
