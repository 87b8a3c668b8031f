"""Sums of linear maps of vectors, and the vectors that are made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from jacstrat.chain.maps import Map
from jacstrat.chain.picks import Pick
from jacstrat.chain.reading import MapMaker
from jacstrat.fused.network import (
    ConstantVector,
    InputVector,
    LinearVector,
    Network,
    PointwiseVector,
    Product,
    Term,
    Vector,
)

# From tensors by slot to a tensor, a number or a map.
Operand = Callable[[list[Any]], Tensor]
Amount = Callable[[list[Any]], Any]


@dataclass(frozen=True, eq=False)
class FormPart:
    """factor W a, a a vector; W is None for the identity."""

    source: int
    factor: float = 1.0
    make: MapMaker | None = None


Form = tuple[FormPart, ...]


def scaled(form: Form, factor: float) -> Form:
    """A form times a number."""
    return tuple(replace(part, factor=part.factor * factor) for part in form)


def diagonal(row: Tensor) -> Map:
    """The map that multiplies each entry by one of a row, (width,)."""
    width = len(row)
    return Map(width, width, (Pick.at(torch.arange(width, device="cpu"), row),))


class Forms:
    """Vectors in their order and what makes their operands, as forms are made of them.

    Args:
        n: Coordinates of x.
        sample: Tensors by slot, by which a map is known to be dense, diagonal or neither.
        like: A tensor of the type and on the device of x.
    """

    def __init__(self, n: int, sample: list[Any], like: Tensor) -> None:
        self.list: list[Vector] = []
        self.operands: list[Operand] = []
        self.moving: list[bool] = []
        self.sample, self.like = sample, like
        self.point = self.added(InputVector(n))

    def added(self, vector: Vector) -> Form:
        """A new vector."""
        self.list.append(vector)
        return (FormPart(len(self.list) - 1),)

    def constant(self, width: int, make: Operand, of_points: bool, moves: bool) -> Form:
        """A new vector that does not depend on x."""
        return self.added(ConstantVector(width, self._operand(make, moves), of_points))

    def width(self, form: Form) -> int:
        """Entries of a form."""
        part = form[0]
        return self.list[part.source].width if part.make is None else part.make(self.sample).rows

    def mapped(self, form: Form, make: MapMaker) -> Form:
        """W of a form: of its parts, or of the vector that they add up to where several would meet a matrix."""
        if make(self.sample).has_matrix and self._is_better_apart(form):
            form = self.single(form)
        return tuple(replace(part, make=_behind(make, part.make)) for part in form)

    def single(self, form: Form) -> Form:
        """A form that is one vector as it is."""
        if len(form) == 1 and form[0].make is None and form[0].factor == 1:
            return form
        terms, shared = [], []
        for part in form:
            vector = self.list[part.source]
            if isinstance(vector, ConstantVector) and not vector.of_points:
                shared.append((part, vector.operand))
            else:
                terms.append(self._term(part))
        return self.added(LinearVector(self.width(form), tuple(terms), self._bias(shared)))

    def _is_better_apart(self, form: Form) -> bool:
        """Whether a part has a matrix already, or several stand side by side and not one behind the other."""
        varying = [part for part in form if not isinstance(self.list[part.source], ConstantVector)]
        maps = [None if part.make is None else part.make(self.sample) for part in varying]
        if any(M is not None and M.has_matrix for M in maps):
            return True
        return len(varying) > 1 and all(M is None or _is_diagonal(M) for M in maps)

    def _term(self, part: FormPart) -> Term:
        make = part.make
        if make is None:
            return Term(part.source, part.factor)
        like = self.like
        if _is_diagonal(make(self.sample)):
            row = self._operand(lambda environment: make(environment).picks[0].factor.unsqueeze(0))
            return Term(part.source, part.factor, row, is_diagonal=True)
        return Term(part.source, part.factor, self._operand(lambda environment: _dense(make(environment), like)))

    def _bias(self, shared: list[tuple[FormPart, int]]) -> int | None:
        """The operand that rows which all points share add up to."""
        if not shared:
            return None
        (first, number), *others = shared
        if not others and first.make is None and first.factor == 1:
            return number
        rows = [(part, self.operands[number]) for part, number in shared]

        def make(environment: list[Any]) -> Tensor:
            parts = []
            for part, row in rows:
                entries = row(environment)
                entries = entries if part.make is None else part.make(environment)(entries)
                parts.append(entries if part.factor == 1 else part.factor * entries)
            return sum(parts[1:], start=parts[0])

        return self._operand(make, any(self.moving[number] for _, number in shared))

    def _operand(self, make: Operand, moves: bool = False) -> int:
        self.operands.append(make)
        self.moving.append(moves)
        return len(self.operands) - 1

    def pruned(self, output: int) -> tuple[Network, tuple[Operand, ...], tuple[bool, ...]]:
        """The network of what a vector depends on, what makes its operands, and which of these move."""
        needed = {0, output}
        for number in reversed(range(output + 1)):
            if number in needed:
                needed.update(self.list[number].sources)
        vectors = {number: renumbered for renumbered, number in enumerate(sorted(needed))}
        operands: dict[int, int] = {}

        def operand(number: int | None) -> int | None:
            return None if number is None else operands.setdefault(number, len(operands))

        def renumbered(vector: Vector) -> Vector:
            if isinstance(vector, ConstantVector):
                return replace(vector, operand=operands.setdefault(vector.operand, len(operands)))
            if isinstance(vector, LinearVector):
                terms = (replace(t, source=vectors[t.source], operand=operand(t.operand)) for t in vector.terms)
                return replace(vector, terms=tuple(terms), bias=operand(vector.bias))
            if isinstance(vector, PointwiseVector):
                return replace(vector, source=vectors[vector.source])
            if isinstance(vector, Product):
                return replace(vector, left=vectors[vector.left], right=vectors[vector.right])
            return vector

        network = Network(tuple(renumbered(self.list[number]) for number in sorted(needed)))
        numbers = sorted(operands, key=operands.__getitem__)
        return network, tuple(self.operands[k] for k in numbers), tuple(self.moving[k] for k in numbers)


def _behind(make: MapMaker, first: MapMaker | None) -> MapMaker:
    if first is None:
        return make
    return lambda environment: make(environment) @ first(environment)


def _is_diagonal(M: Map) -> bool:
    if M.has_matrix or len(M.picks) != 1 or M.rows != M.columns:
        return False
    return torch.equal(M.picks[0].places.known, torch.arange(M.rows, device="cpu"))


def _dense(M: Map, like: Tensor) -> Tensor:
    return M.matrix(like)
