"""What of a tape depends on x and what of that needs tangents, from both ends; and when what may be forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from jacstrat.taylor.node import TaylorNode


def analysed(
    nodes: Sequence[TaylorNode], output: int | Tensor, arguments: int, with_tangents: bool = False
) -> tuple[TaylorNode, ...]:
    """The operations that the result depends on, with what can be known before any number is.

    Args:
        nodes: As recorded, with their rules.
        output: The slot of the result, or the result itself where it was there before.
        arguments: Slots behind x that further arguments fill.
        with_tangents: Whether those of the result are needed.
    """
    return _live(nodes, _dependence(nodes, arguments), output, with_tangents)


@dataclass(frozen=True)
class Dependence:
    """What depends on x.

    Fields:
        varying: Slots that do.
        fixed: Those of them whose tangents do not depend on the point.
        curved: Places of operations whose second derivative does not vanish.
    """

    varying: frozenset[int]
    fixed: frozenset[int]
    curved: frozenset[int]


def _dependence(nodes: Sequence[TaylorNode], arguments: int) -> Dependence:
    """From x on, operation by operation."""
    varying, fixed = {0}, {0}
    pointwise = set(range(1, arguments + 1))  # slots that may be others at each point
    curved = set()
    for number, node in enumerate(nodes):
        outs = [slot for slot in node.outs if slot is not None]
        if not node.is_cut and varying.intersection(node.slots):
            is_linear = node.is_linear(frozenset(varying))
            is_affine = is_linear and not node.rule.is_piecewise
            if (
                is_affine
                and fixed.issuperset(varying.intersection(node.slots))
                and not pointwise.intersection(node.slots)
            ):
                fixed.update(outs)
            if not is_linear:
                curved.add(number)
            varying.update(outs)
        elif pointwise.intersection(node.slots):
            pointwise.update(outs)
    return Dependence(frozenset(varying), frozenset(fixed), frozenset(curved))


def _live(
    nodes: Sequence[TaylorNode], dependence: Dependence, output: int | Tensor, with_tangents: bool
) -> tuple[TaylorNode, ...]:
    """From the result back."""
    varying = dependence.varying
    needed = {output} if isinstance(output, int) else set[int]()
    # Slots whose tangents are needed.
    wanted = needed & varying if with_tangents else set[int]()
    live: list[TaylorNode] = []
    for number, node in reversed(list(enumerate(nodes))):
        if not needed.intersection(node.outs):
            continue
        outs = tuple(slot if slot in needed else None for slot in node.outs)
        reads = varying.intersection(node.slots)
        varies = not node.is_cut and bool(reads)
        dead_after = tuple(sorted(set(node.slots) - needed))
        wants_tangents = bool(wanted.intersection(outs))
        live.append(
            replace(
                node,
                outs=outs,
                varies=varies,
                wants_tangents=wants_tangents,
                is_last_use=reads.issubset(dead_after),
                dead_after=dead_after,
                carrying=tuple(sorted(wanted)),
                is_fixed=wanted <= dependence.fixed,
            )
        )
        written = [slot for slot in outs if slot is not None]
        wanted.difference_update(written)
        needed.difference_update(written)
        needed.update(node.slots)
        if varies and (wants_tangents or number in dependence.curved):
            wanted |= reads
    return tuple(reversed(live))
