"""An operation of a tape as Taylor mode knows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from jacstrat.taylor.fallback import ANY
from jacstrat.taylor.plan import SparsePlan
from jacstrat.taylor.rule import Rule
from jacstrat.trace.tape import Node, Slot, leaves


@dataclass(frozen=True, eq=False)
class TaylorNode(Node):
    """One operation, and what is known of it before any number is.

    Fields:
        rule: How it takes jets to jets.
        varies: Whether it depends on x.
        wants_tangents: Whether anything downstream is not linear, so that the tangents of the outputs are needed.
        is_last_use: Whether nothing after this operation uses what it reads of x.
        dead_after: Slots that nothing after this operation uses.
        carrying: Slots with tangents that operations after this one need.
        is_fixed: Whether none of these tangents depends on the point.
        plan: What is to be done to arguments with sparse tangents; None where there is nothing.
        used: Which outputs are used.
        take: Its arguments, from what is in the slots; None for `bound`.
        may_compress: Whether the tangents in `carrying` may span fewer directions than they have.
    """

    rule: Rule = ANY
    varies: bool = False
    wants_tangents: bool = False
    is_last_use: bool = False
    dead_after: tuple[int, ...] = ()
    carrying: tuple[int, ...] = ()
    is_fixed: bool = False
    plan: SparsePlan | None = None
    used: tuple[bool, ...] = ()
    take: Callable[[list[Any]], tuple[Any, ...]] | None = None
    may_compress: bool = False

    @classmethod
    def of(cls, node: Node, rule: Rule) -> TaylorNode:
        """An operation of a tape with its rule, and nothing else known."""
        return cls(**{field.name: getattr(node, field.name) for field in fields(Node)}, rule=rule)

    def is_linear(self, varying: frozenset[int]) -> bool:
        """Whether its second derivative vanishes, given the slots that depend on x."""
        return self.rule.is_linear([_reads(argument, varying) for argument in self.args])


def _reads(tree: Any, slots: frozenset[int]) -> bool:
    return any(isinstance(leaf, Slot) and leaf.index in slots for leaf in leaves(tree))
