"""A function as a network: vectors of a point, each a linear map, a function of the entries or a product of others.

With t_k the derivatives along direction k, through each vector once:

    linear     z = sum_i W_i a_i + b     t_z = sum_i W_i t_ai
    pointwise  a = s(z)                  t_a = s'(z) t_z
    product    m = p q                   t_m = q t_p + p t_q

and with g the adjoint of a vector, du/da, the second derivatives of a scalar u along all directions add up to

    lap u = sum over pointwise of g_a s''(z) sum_k t_zk^2 + sum over products of 2 g_m sum_k t_pk t_qk,

so that directions do not depend on each other: one pass forward, one back, and then each direction by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from jacstrat.fused.pointwise import Formula


@dataclass(frozen=True)
class ConstantVector:
    """What does not depend on x: an operand of one row for all points, or of one for each.

    Fields:
        width: Entries of a row.
        operand: Its number.
        of_points: Whether each point has a row of its own.
    """

    width: int
    operand: int
    of_points: bool

    @property
    def sources(self) -> tuple[int, ...]:
        return ()


@dataclass(frozen=True)
class InputVector:
    """x itself, the first of all."""

    width: int

    @property
    def sources(self) -> tuple[int, ...]:
        return ()


@dataclass(frozen=True)
class Term:
    """factor W a, a factor that every entry is multiplied by and W an operand: a matrix, or a row for a diagonal.

    Fields:
        source: The number of a.
        factor: A number.
        operand: The number of W, (width, width of a), or (1, width) where it is diagonal; None for the identity.
        is_diagonal: Whether W is.
    """

    source: int
    factor: float = 1.0
    operand: int | None = None
    is_diagonal: bool = False

    @property
    def is_dense(self) -> bool:
        return self.operand is not None and not self.is_diagonal

    @property
    def is_plain(self) -> bool:
        """Whether it is a matrix with nothing in front of it."""
        return self.is_dense and self.factor == 1


@dataclass(frozen=True)
class LinearVector:
    """A sum of terms, and of rows that are the same for all points where `bias` has an operand."""

    width: int
    terms: tuple[Term, ...]
    bias: int | None = None

    @property
    def sources(self) -> tuple[int, ...]:
        return tuple(term.source for term in self.terms)


@dataclass(frozen=True)
class PointwiseVector:
    """s of each entry."""

    width: int
    source: int
    formula: Formula

    @property
    def sources(self) -> tuple[int, ...]:
        return (self.source,)


@dataclass(frozen=True)
class Product:
    """Entry by entry; of width 1 a factor is one for all entries of the other."""

    width: int
    left: int
    right: int

    @property
    def sources(self) -> tuple[int, ...]:
        return (self.left, self.right)


Vector = InputVector | ConstantVector | LinearVector | PointwiseVector | Product


@dataclass(frozen=True)
class Network:
    """Vectors in an order in which they can be computed, the first of them x.

    Fields:
        vectors: All that the output depends on, and it is the last.
    """

    vectors: tuple[Vector, ...]

    @property
    def n(self) -> int:
        """Coordinates of a point."""
        return self.vectors[0].width

    @property
    def output(self) -> int:
        return len(self.vectors) - 1

    @cached_property
    def varies(self) -> tuple[bool, ...]:
        """Whether each vector depends on x."""
        varying: list[bool] = []
        for vector in self.vectors:
            varying.append(isinstance(vector, InputVector) or any(varying[source] for source in vector.sources))
        return tuple(varying)

    @cached_property
    def fixed(self) -> tuple[bool, ...]:
        """Whether the derivatives of each vector are the same at every point."""
        fixed: list[bool] = []
        for vector in self.vectors:
            is_linear = isinstance(vector, (InputVector, ConstantVector, LinearVector))
            fixed.append(is_linear and all(fixed[source] for source in vector.sources))
        return tuple(fixed)

    @cached_property
    def bends(self) -> tuple[int, ...]:
        """The vectors that have a second derivative."""
        return tuple(number for number, vector in enumerate(self.vectors) if self._bends(vector))

    def _bends(self, vector: Vector) -> bool:
        if isinstance(vector, PointwiseVector):
            return self.varies[vector.source] and not vector.formula.is_piecewise
        return isinstance(vector, Product) and self.varies[vector.left] and self.varies[vector.right]

    @cached_property
    def bent(self) -> frozenset[int]:
        """The vectors whose derivatives along directions a Laplacian asks for first: those in front of a bend."""
        return frozenset(source for number in self.bends for source in self.vectors[number].sources)

    def carrying(self, asked: frozenset[int]) -> tuple[int, ...]:
        """The vectors whose derivatives along directions are needed for those of the vectors that are asked for."""
        carrying = set(asked)
        for number in reversed(range(len(self.vectors))):
            if number in carrying and not self.fixed[number]:
                vector = self.vectors[number]
                is_linear = isinstance(vector, LinearVector)
                carrying.update(
                    one for one in vector.sources if self.varies[one] and not (is_linear and self.fixed[one])
                )
        return tuple(sorted(carrying))

    def is_seeded(self, number: int) -> bool:
        """Whether the derivatives of a vector have a part that is the same at every point."""
        if self.fixed[number]:
            return True
        vector = self.vectors[number]
        return isinstance(vector, LinearVector) and any(self.fixed[one] and self.varies[one] for one in vector.sources)

    @cached_property
    def picked(self) -> frozenset[int]:
        """The vectors whose derivatives along directions entry k of those of the output is read off along k."""
        picked: set[int] = set()

        def pick(number: int) -> None:
            vector = self.vectors[number]
            if vector.width == 1 and not isinstance(vector, InputVector):
                picked.add(number)
            elif isinstance(vector, LinearVector):
                for term in vector.terms:
                    if not self.varies[term.source]:
                        continue
                    if term.is_dense:
                        picked.add(term.source)
                    else:
                        pick(term.source)
            else:
                for source in vector.sources:
                    if self.varies[source]:
                        pick(source)

        pick(self.output)
        return frozenset(picked)

    def formulas(self) -> Iterator[Formula]:
        """Each once."""
        formulas = {
            vector.formula.name: vector.formula for vector in self.vectors if isinstance(vector, PointwiseVector)
        }
        yield from formulas.values()
