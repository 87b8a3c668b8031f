"""What a kernel of gradients is generated for."""

from __future__ import annotations

from dataclasses import dataclass

from jacstrat.fused.network import ConstantVector, InputVector, LinearVector, Network, Term, Vector
from jacstrat.fused.spec import Spec


@dataclass(frozen=True)
class GradientSpec:
    """What a kernel of gradients is generated for: equal specs have equal text.

    Fields:
        forward: The network and its operator; with the value or the gradient where these have cotangents as well.
        operands: Those whose gradients are wanted.
        seeds: The vectors whose seeds have gradients that are wanted.
        with_x: Whether that of x is.
    """

    forward: Spec
    operands: frozenset[int]
    seeds: frozenset[int]
    with_x: bool

    @property
    def network(self) -> Network:
        return self.forward.network

    @property
    def of_points(self) -> frozenset[int]:
        """The operands that have a row of each point."""
        constants = (one for one in self.network.vectors if isinstance(one, ConstantVector))
        return frozenset(one.operand for one in constants if one.of_points)

    def needed(self) -> frozenset[int]:
        """The vectors whose adjoints lead to a gradient that is wanted."""
        needed: set[int] = set()
        for number, vector in enumerate(self.network.vectors):
            if self._has_gradient(vector) or needed.intersection(vector.sources):
                needed.add(number)
        return frozenset(needed)

    def is_outside(self, term: Term, number: int) -> bool:
        """Whether the adjoints of W and a, a given and not computed, are left to torch as products of B rows."""
        vector = self.network.vectors[term.source]
        is_given = isinstance(vector, InputVector) or (isinstance(vector, ConstantVector) and vector.of_points)
        return is_given and term.is_dense and vector.width > 1 and self.network.vectors[number].width > 1

    def _has_gradient(self, vector: Vector) -> bool:
        if isinstance(vector, InputVector):
            return self.with_x
        if isinstance(vector, ConstantVector):
            return vector.operand in self.operands
        if isinstance(vector, LinearVector):
            return bool(self.operands.intersection((vector.bias, *(term.operand for term in vector.terms))))
        return False
