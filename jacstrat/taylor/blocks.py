"""Matrix products of sparse tangents, which a dense product would spread over all n directions first.

Of C = A B let a be the coordinates of the rows of A, the same along the axis that is contracted, and b those of the
columns of B. Then entry (i, j) has the directions a_i and b_j, and the cross term those of a_i that are in b_j, too:
so the scores of attention, of which each depends on two tokens. That is `Paired`.

Where the coordinates of a factor change along the contracted axis instead, each direction meets few of its rows: with
B'[k] = 0 but in rows c, C'[k] = sum_c A[:, c] B'[k][c, :] is an outer product, n c times fewer multiplications than the
dense product has. So the values of attention are mixed, and so is any function of each entry before a layer. That is
`Outer`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from jacstrat.taylor.jet import Jet, aligned, full, plus, shaped, value_of
from jacstrat.taylor.matrices import left_tangents, of_each_factor, right_tangents
from jacstrat.taylor.plan import Aligned, local
from jacstrat.taylor.rule import TaylorCall
from jacstrat.taylor.supports import alignment, uniform, union_of
from jacstrat.trace.operations import operation_of

# A dense product, or a dense cross term, is replaced by one of so many times fewer multiplications.
WORTH = 2


@dataclass(frozen=True, eq=False)
class Paired:
    """A B with the directions of rows of A and columns of B.

    Fields:
        left, right: From these directions to those of an entry.
        pairs: Which direction of the rows may be which of the columns.
        masks: Where each is, (pairs, ..., i, j).
    """

    left: Aligned
    right: Aligned
    pairs: tuple[tuple[int, int], ...]
    masks: Tensor

    def on(self, device: torch.device) -> Paired:
        return replace(self, left=self.left.on(device), right=self.right.on(device), masks=self.masks.to(device))

    def __call__(self, call: TaylorCall) -> Jet:
        a, b = call.args
        A, B = a.value, b.value
        y = call.op(A, B)
        ta, tb = full(local(a), A.shape), full(local(b), B.shape)
        laplacian = of_each_factor(a, b)
        if self.pairs:
            p, q = zip(*self.pairs, strict=True)
            products = _chosen(ta, p) @ _chosen(tb, q)
            laplacian = plus(laplacian, 2 * (products * self.masks.to(products.dtype)).sum(0))
        if not call.wants_tangents:
            return Jet(y, None, shaped(laplacian, y))
        parts = self.left(Jet(y, left_tangents(Jet(A, ta), B))), self.right(Jet(y, right_tangents(A, Jet(B, tb))))
        return Jet(y, plus(*(part.tangents for part in parts)), shaped(laplacian, y), owned=True)


@dataclass(frozen=True, eq=False)
class Outer:
    """A B where one factor's directions change along the contracted axis; the other has all n, or does not vary.

    Fields:
        is_left: Whether that one is A.
        rows, places, coordinates: Its local directions, where along the contracted axis they stand, and which
            coordinates, from 0, they are there; sorted by the last.
        n: Directions.
        is_complete: Whether the coordinates are all n, each once.
    """

    is_left: bool
    rows: Tensor
    places: Tensor
    coordinates: Tensor
    n: int
    is_complete: bool

    def on(self, device: torch.device) -> Outer:
        moved = {name: getattr(self, name).to(device) for name in ("rows", "places", "coordinates")}
        return replace(self, **moved)

    def __call__(self, call: TaylorCall) -> Jet:
        a, b = _factors(call)
        y = call.op(*map(value_of, call.args), **call.kwargs)
        laplacian = of_each_factor(a, b)
        sparse, other = (a, b) if self.is_left else (b, a)
        mine, its = (-1, -2) if self.is_left else (-2, -1)  # the axis that is contracted
        S = full(local(sparse), sparse.value.shape, (mine,)).movedim(mine, 1)[self.rows, self.places]
        varies = isinstance(other, Jet)
        if varies:
            T = other.full(its).movedim(its, 1)[self.coordinates, self.places]
            laplacian = plus(laplacian, 2 * self._summed(S, T))
        tangents = None
        if call.wants_tangents:
            V = aligned(value_of(other).movedim(its, 0)[self.places], y.dim() - 1)
            columns, rows = (S.unsqueeze(-1), V.unsqueeze(-2)) if self.is_left else (V.unsqueeze(-1), S.unsqueeze(-2))
            dense = None
            if varies:
                fixed = value_of(sparse)
                dense = right_tangents(fixed, other) if self.is_left else left_tangents(other, fixed)
            tangents = self._spread(columns, rows, dense)
        return Jet(y, tangents, shaped(laplacian, y), owned=True)

    def _summed(self, S: Tensor, T: Tensor) -> Tensor:
        """The sum of the outer products of S and T, (terms, ..., i) and (terms, ..., j), over terms."""
        left, right = (S, T) if self.is_left else (T, S)
        return left.movedim(0, -1) @ right.movedim(0, -2)

    def _spread(self, columns: Tensor, rows: Tensor, dense: Tensor | None) -> Tensor:
        """The outer product of each term in its direction, added to what is there already."""
        if self.is_complete:
            return columns * rows if dense is None else torch.addcmul(dense, columns, rows)
        terms = columns * rows
        total = terms.new_zeros(self.n, *terms.shape[1:]) if dense is None else dense.expand(-1, *terms.shape[1:])
        return total.index_add(0, self.coordinates, terms)


def paired(a: Tensor, b: Tensor, n: int) -> tuple[Paired, Tensor, Tensor, Tensor] | None:
    """The way of a product whose factors are both sparse, with the supports of A and B that it wants, and its own.

    None where these are no fewer than n by far, or change from point to point.
    """
    left, right = _of_any_point(uniform(a, (-1,))), _of_any_point(uniform(b, (-2,)))
    if left is None or right is None:
        return None
    union = union_of([left, right])
    pairs = {
        (p, q): mask
        for p, row in enumerate(left)
        for q, column in enumerate(right)
        if (mask := (row == column) & (row > 0)).any()
    }
    if WORTH * max(len(union), len(pairs)) > n:
        return None
    masks = torch.stack(list(pairs.values())) if pairs else union.new_zeros(0)
    return Paired(alignment(left, union), alignment(right, union), tuple(pairs), masks), left, right, union


def outer(support: Tensor, shape: torch.Size, is_left: bool, n: int) -> tuple[Outer, Tensor] | None:
    """The way of a product whose one factor has this support and shape, and the support that it wants.

    None where each direction meets as much of that factor as in a dense product, or other parts from point to point.
    """
    free, contracted = (-2, -1) if is_left else (-1, -2)
    wanted = _of_any_point(uniform(support, (free,)))
    if wanted is None:
        return None
    # (s, c), of which a support that is the same all along has one column.
    table = wanted.reshape(len(wanted), -1).expand(-1, shape[contracted])
    rows, places = table.nonzero(as_tuple=True)
    order = table[rows, places].argsort(stable=True)
    rows, places = rows[order], places[order]
    coordinates = table[rows, places] - 1
    if not len(rows) or WORTH * len(rows) > n * table.shape[1]:
        return None
    is_complete = torch.equal(coordinates, torch.arange(n, device="cpu"))
    return Outer(is_left, rows, places, coordinates, n, is_complete), wanted


def _of_any_point(support: Tensor) -> Tensor | None:
    """A support that is the same for all matrices of a batch, as that of one; None where it is not."""
    for axis in range(1, support.dim() - 2):
        first = support.narrow(axis, 0, 1)
        if not bool((support == first).all()):
            return None
        support = first
    return support


def _chosen(t: Tensor, directions: tuple[int, ...]) -> Tensor:
    return t if directions == tuple(range(len(t))) else torch.stack([t[k] for k in directions])


def _factors(call: TaylorCall) -> tuple[Any, Any]:
    operation = operation_of(call.op)
    assert operation is not None
    left, right = operation.factors
    a, b = call.args[left.position], call.args[right.position]
    return a, b.mT if right.contracted == -1 else b  # as the weights of a layer are
