"""Constant linear maps: sums of picks, which move entries and scale them, of one dense matrix, and of one in blocks.

A shift, a slice, a permutation or the identity is a pick, and stays one when composed with others: no n x n matrix is
made for a function whose coordinates meet few others. Weights that parts of a point share are the block of a matrix in
blocks, I (x) W, and stay so among themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product
from operator import add

import torch
from torch import Tensor

from jacstrat.chain.picks import Pick

# Picks that a map may be a sum of before they become a matrix, and the entries that this may have.
MAX_PICKS = 16
MAX_ENTRIES = 2**24


@dataclass(frozen=True, eq=False)
class Map:
    """A linear map between spaces of `rows` and `columns` entries, the same at every point.

    Fields:
        picks, dense, block: What it is the sum of; dense is (rows, columns), and the block stands along the diagonal,
            as often as it fits.
    """

    rows: int
    columns: int
    picks: tuple[Pick, ...] = ()
    dense: Tensor | None = None
    block: Tensor | None = None

    @property
    def is_zero(self) -> bool:
        """Whether there is nothing in it, whatever the parameters are."""
        return not self.picks and not self.has_matrix

    @property
    def has_matrix(self) -> bool:
        """Whether there is more in it than picks."""
        return self.dense is not None or self.block is not None

    @property
    def is_identity(self) -> bool:
        """Whether it is the identity by its making."""
        return not self.has_matrix and len(self.picks) == 1 and self.picks[0].plain

    @property
    def has_diagonal(self) -> bool:
        """Whether there may be numbers on its diagonal, whatever the parameters are."""
        return self.has_matrix or any(pick.places.on_diagonal.some for pick in self.picks)

    @property
    def count(self) -> int:
        """How often the block stands there; 1 where there is none."""
        return 1 if self.block is None else self.rows // len(self.block)

    @property
    def full(self) -> Tensor | None:
        """The matrices in it as one, (rows, columns); None where there is none."""
        parts = [] if self.dense is None else [self.dense]
        if self.block is not None:
            parts.append(_repeated(self.block, self.count))
        return total(parts) if parts else None

    @property
    def row_sums(self) -> Tensor:
        """M applied to ones, (rows,); of a map that is not zero."""
        parts = [pick.factor for pick in self.picks] + ([] if self.dense is None else [self.dense.sum(1)])
        return total(parts + ([] if self.block is None else [self.block.sum(1).repeat(self.count)]))

    def __call__(self, v: Tensor) -> Tensor:
        """M v along the last axis of v, (..., columns) -> (..., rows)."""
        parts = [pick(v) for pick in self.picks]
        if self.dense is not None:
            parts.append(v @ self.dense.mT)
        if self.block is not None:
            parts.append((v.unflatten(-1, (self.count, -1)) @ self.block.mT).flatten(-2))
        return total(parts) if parts else v.new_zeros(*v.shape[:-1], self.rows)

    def __add__(self, other: Map) -> Map:
        dense = [M.dense for M in (self, other) if M.dense is not None]
        count = math.gcd(*(M.count for M in (self, other) if M.block is not None))
        blocks = [M.blocks(count) for M in (self, other) if M.block is not None]
        picks = self.picks + other.picks
        return _few(
            Map(self.rows, self.columns, picks, total(dense) if dense else None, total(blocks) if blocks else None)
        )

    def blocks(self, count: int) -> Tensor:
        """The block of so many that it has, of a number of which `count` is a divisor."""
        assert self.block is not None
        return _repeated(self.block, self.count // count)

    def __matmul__(self, other: Map) -> Map:
        """The map that applies `other` first."""
        if self.is_identity or other.is_identity:
            return other if self.is_identity else self
        picks = tuple(a.behind(b) for a, b in product(self.picks, other.picks))
        ours, theirs = replace(self, picks=()), replace(other, picks=())
        parts = [_product(ours, theirs)]
        if theirs.has_matrix:
            parts += [_multiple(a, theirs) or _rows_moved(a, theirs) for a in self.picks]
        if ours.has_matrix:
            parts += [_multiple(b, ours) or _columns_moved(ours, b, other.columns) for b in other.picks]
        return reduce(add, parts, Map(self.rows, other.columns, picks))

    def scaled(self, factor: Tensor) -> Map:
        """diag(factor) M; factor is (rows,) or ()."""
        picks = tuple(pick.scaled(factor) for pick in self.picks)
        if factor.dim() == 0:
            dense, block = (None if M is None else factor * M for M in (self.dense, self.block))
            return Map(self.rows, self.columns, picks, dense, block)
        matrix = self.full
        return Map(self.rows, self.columns, picks, None if matrix is None else factor.unsqueeze(-1) * matrix)

    def matrix(self, like: Tensor) -> Tensor:
        """(rows, columns)."""
        parts = [pick.matrix(self.columns) for pick in self.picks]
        parts += [] if (matrix := self.full) is None else [matrix]
        return total(parts) if parts else like.new_zeros(self.rows, self.columns)

    def entries(self, rows: Tensor, columns: Tensor) -> list[Tensor]:
        """What to add up for the entries of its matrices at these places, picks apart."""
        parts = [] if self.dense is None else [self.dense[rows, columns]]
        if self.block is not None:
            p, q = self.block.shape
            parts.append(self.block[rows % p, columns % q] * (rows // p == columns // q))
        return parts

    def diagonal(self, like: Tensor) -> Tensor:
        """(rows,), of a square map."""
        parts = [] if self.dense is None else [self.dense.diagonal()]
        parts += [] if self.block is None else [self.block.diagonal().repeat(self.count)]
        parts += [pick.factor * pick.places.on_diagonal.rows for pick in self.picks]
        return total(parts) if parts else like.new_zeros(self.rows)


def identity(size: int, like: Tensor) -> Map:
    """The identity of so many entries."""
    return Map(size, size, (Pick.at(torch.arange(size, device="cpu"), like.new_ones(()).expand(size), plain=True),))


def hadamard(C: Map, R: Map) -> Map:
    """K = C * R^T entry by entry, of C (p, q) and R (q, p): its entries add up to tr(C R), its rows to diag(C R).

    And tr(D C E R) = d^T K e, d and e the diagonals of D and E.
    """
    picks, dense, block = [], [], None
    for c in C.picks:
        # Entry (i, c_i) of R^T is entry (c_i, i) of R.
        here = torch.arange(C.rows, device=c.index.device)
        picks += [Pick(c.places, c.factor * entries) for entries in R.entries(c.index, here)]
        for r in R.picks:
            meeting = c.places.meets(r.places)
            if meeting.some:
                factor = c.factor * r.factor[c.index]
                picks.append(Pick(c.places, factor if meeting.every else factor * meeting.rows))
    for r in R.picks:
        here = torch.arange(R.rows, device=r.index.device)
        for entries in C.entries(r.index, here):
            if r.plain:
                picks.append(Pick(r.places, entries))
                continue
            empty = entries.new_zeros(C.rows, C.columns)
            dense.append(empty.index_put((r.index, here), entries * r.factor))
    if C.block is not None and R.block is not None:
        count = math.gcd(C.count, R.count)
        block = C.blocks(count) * R.blocks(count).mT
    if C.dense is not None and (matrix := R.full) is not None:
        dense.append(C.dense * matrix.mT)
    if C.block is not None and R.dense is not None:
        dense.append(_repeated(C.block, C.count) * R.dense.mT)
    return Map(C.rows, C.columns, tuple(picks), total(dense) if dense else None, block)


def bilinear(left: Tensor, K: Map, right: Tensor) -> Tensor:
    """left^T K right, (B, p) and (B, q) -> (B,)."""
    return (left * K(right)).sum(-1)


def total(parts: list[Tensor]) -> Tensor:
    """The sum of one tensor or more."""
    return reduce(add, parts)


def _product(A: Map, B: Map) -> Map:
    """A B, of maps without picks: matrices in blocks stay so, and a block meets no more than its part of another."""
    dense: list[Tensor] = []
    block = None
    if B.dense is not None:
        if A.dense is not None:
            dense.append(A.dense @ B.dense)
        if A.block is not None:
            dense.append((A.block @ B.dense.unflatten(0, (A.count, -1))).flatten(0, 1))
    if B.block is not None:
        if A.dense is not None:
            dense.append((A.dense.unflatten(1, (B.count, -1)) @ B.block).flatten(1))
        if A.block is not None:
            count = math.gcd(A.count, B.count)
            block = A.blocks(count) @ B.blocks(count)
    return Map(A.rows, B.columns, (), total(dense) if dense else None, block)


def _multiple(pick: Pick, M: Map) -> Map | None:
    """M times the number that a pick multiplies all by; None where it does more."""
    return M if pick.plain else None if pick.number is None else M.scaled(pick.number)


def _rows_moved(pick: Pick, M: Map) -> Map:
    matrix = M.full
    assert matrix is not None
    return Map(len(pick.index), M.columns, dense=pick.factor.unsqueeze(1) * matrix[pick.index])


def _columns_moved(M: Map, pick: Pick, columns: int) -> Map:
    """Column i of M goes to column index_i."""
    matrix = M.full
    assert matrix is not None
    empty = matrix.new_zeros(M.rows, columns)
    return Map(M.rows, columns, dense=empty.index_add(1, pick.index, matrix * pick.factor))


def _repeated(block: Tensor, count: int) -> Tensor:
    """I (x) W: a block, so many times along the diagonal."""
    if count == 1:
        return block
    return torch.kron(torch.eye(count, dtype=block.dtype, device=block.device), block.contiguous())


def _few(M: Map) -> Map:
    """The map with a matrix in place of picks that are too many."""
    if len(M.picks) <= MAX_PICKS or M.rows * M.columns > MAX_ENTRIES:
        return M
    return Map(M.rows, M.columns, dense=M.matrix(M.picks[0].factor))
