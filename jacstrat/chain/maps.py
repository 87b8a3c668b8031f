"""Constant linear maps: sums of picks, which move entries and scale them, and of one dense matrix.

A shift, a slice, a permutation or the identity is a pick, and stays one when composed with others: no n x n matrix is
made for a function whose coordinates meet few others.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from itertools import product
from operator import add
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

# Picks that a map may be a sum of before they become a matrix, and the entries that this may have.
MAX_PICKS = 16
MAX_ENTRIES = 2**24


@dataclass(frozen=True, eq=False)
class Meeting:
    """Which rows lead back to themselves.

    Fields:
        some, every: Whether any do, and all.
        rows: (rows,), true where they do, on the device.
    """

    some: bool
    every: bool
    rows: Tensor


@dataclass(frozen=True, eq=False)
class Places:
    """Where the entries of a pick come from, which no parameter changes: what follows from them is found once.

    So constants that are contracted again at each call, as in training, bring nothing from the CPU to the device.

    Fields:
        index: (rows,), whole numbers.
        known: The same on the CPU, where they can be looked at without a device being waited for.
    """

    index: Tensor
    known: Tensor
    _behind: WeakKeyDictionary[Places, Places] = field(default_factory=WeakKeyDictionary)
    _meetings: WeakKeyDictionary[Places, Meeting] = field(default_factory=WeakKeyDictionary)

    def behind(self, first: Places) -> Places:
        """Those of the pick that applies `first` first."""
        if (places := self._behind.get(first)) is None:
            places = self._behind[first] = Places(first.index[self.index], first.known[self.known])
        return places

    def meets(self, back: Places) -> Meeting:
        """The rows i with back_{index_i} = i."""
        if (meeting := self._meetings.get(back)) is None:
            meeting = self._meetings[back] = self._meeting(back.known[self.known])
        return meeting

    @cached_property
    def on_diagonal(self) -> Meeting:
        """The rows i with index_i = i."""
        return self._meeting(self.known)

    def _meeting(self, known: Tensor) -> Meeting:
        rows = known == torch.arange(len(known), device="cpu")
        return Meeting(bool(rows.any()), bool(rows.all()), rows.to(self.index.device))


@dataclass(frozen=True, eq=False)
class Pick:
    """(P v)_i = factor_i v_{index_i}.

    Fields:
        places: The index.
        factor: (rows,), 0 in a row that is empty.
        plain: Whether it is the identity.
    """

    places: Places
    factor: Tensor
    plain: bool = False

    @property
    def index(self) -> Tensor:
        """(rows,), whole numbers."""
        return self.places.index

    @staticmethod
    def at(known: Tensor, factor: Tensor, plain: bool = False) -> Pick:
        """The pick with these indices, on the device of the factor."""
        return Pick(Places(known.to(factor.device), known), factor, plain)

    def __call__(self, v: Tensor) -> Tensor:
        """P v along the last axis."""
        if self.plain:
            return v
        return v[..., self.index] * self.factor

    def matrix(self, columns: int) -> Tensor:
        """(rows, columns)."""
        M = self.factor.new_zeros(len(self.index), columns)
        return M.scatter(1, self.index.unsqueeze(1), self.factor.unsqueeze(1))


@dataclass(frozen=True, eq=False)
class Map:
    """A linear map between spaces of `rows` and `columns` entries, the same at every point.

    Fields:
        picks, dense: What it is the sum of; dense is (rows, columns).
    """

    rows: int
    columns: int
    picks: tuple[Pick, ...] = ()
    dense: Tensor | None = None

    @property
    def is_zero(self) -> bool:
        """Whether there is nothing in it, whatever the parameters are."""
        return not self.picks and self.dense is None

    @property
    def is_identity(self) -> bool:
        """Whether it is the identity by its making."""
        return self.dense is None and len(self.picks) == 1 and self.picks[0].plain

    @property
    def has_diagonal(self) -> bool:
        """Whether there may be numbers on its diagonal, whatever the parameters are."""
        return self.dense is not None or any(pick.places.on_diagonal.some for pick in self.picks)

    @property
    def row_sums(self) -> Tensor:
        """M applied to ones, (rows,); of a map that is not zero."""
        return total([pick.factor for pick in self.picks] + ([] if self.dense is None else [self.dense.sum(1)]))

    def __call__(self, v: Tensor) -> Tensor:
        """M v along the last axis of v, (..., columns) -> (..., rows)."""
        parts = [pick(v) for pick in self.picks]
        if self.dense is not None:
            parts.append(v @ self.dense.mT)
        return total(parts) if parts else v.new_zeros(*v.shape[:-1], self.rows)

    def __add__(self, other: Map) -> Map:
        dense = [M.dense for M in (self, other) if M.dense is not None]
        return _few(replace(self, picks=self.picks + other.picks, dense=total(dense) if dense else None))

    def __matmul__(self, other: Map) -> Map:
        """The map that applies `other` first."""
        if self.is_identity or other.is_identity:
            return other if self.is_identity else self
        picks = [
            Pick(a.places.behind(b.places), a.factor * b.factor[a.index]) for a, b in product(self.picks, other.picks)
        ]
        dense: list[Tensor] = []
        if other.dense is not None:
            dense += [a.factor.unsqueeze(1) * other.dense[a.index] for a in self.picks]
        if self.dense is not None:
            # Column i of the one goes to column index_i.
            empty = self.dense.new_zeros(self.rows, other.columns)
            dense += [empty.index_add(1, b.index, self.dense * b.factor) for b in other.picks]
        if self.dense is not None and other.dense is not None:
            dense.append(self.dense @ other.dense)
        return _few(Map(self.rows, other.columns, tuple(picks), total(dense) if dense else None))

    def scaled(self, factor: Tensor) -> Map:
        """diag(factor) M; factor is (rows,) or ()."""
        picks = (replace(pick, factor=pick.factor * factor, plain=False) for pick in self.picks)
        return replace(
            self, picks=tuple(picks), dense=None if self.dense is None else factor.unsqueeze(-1) * self.dense
        )

    def matrix(self, like: Tensor) -> Tensor:
        """(rows, columns)."""
        parts = [pick.matrix(self.columns) for pick in self.picks]
        parts += [] if self.dense is None else [self.dense]
        return total(parts) if parts else like.new_zeros(self.rows, self.columns)

    def diagonal(self, like: Tensor) -> Tensor:
        """(rows,), of a square map."""
        parts = [] if self.dense is None else [self.dense.diagonal()]
        parts += [pick.factor * pick.places.on_diagonal.rows for pick in self.picks]
        return total(parts) if parts else like.new_zeros(self.rows)


def identity(size: int, like: Tensor) -> Map:
    """The identity of so many entries."""
    return Map(size, size, (Pick.at(torch.arange(size, device="cpu"), like.new_ones(()).expand(size), plain=True),))


def hadamard(C: Map, R: Map) -> Map:
    """K = C * R^T entry by entry, of C (p, q) and R (q, p): its entries add up to tr(C R), its rows to diag(C R).

    And tr(D C E R) = d^T K e, d and e the diagonals of D and E.
    """
    picks, dense = [], []
    for c in C.picks:
        # Entry (i, c_i) of R^T is entry (c_i, i) of R.
        here = torch.arange(C.rows, device=c.index.device)
        if R.dense is not None:
            picks.append(Pick(c.places, c.factor * R.dense[c.index, here]))
        for r in R.picks:
            meeting = c.places.meets(r.places)
            if meeting.some:
                factor = c.factor * r.factor[c.index]
                picks.append(Pick(c.places, factor if meeting.every else factor * meeting.rows))
    if C.dense is not None:
        if R.dense is not None:
            dense.append(C.dense * R.dense.mT)
        for r in R.picks:
            here = torch.arange(R.rows, device=r.index.device)
            entries = C.dense[r.index, here] * r.factor
            dense.append(torch.zeros_like(C.dense).index_put((r.index, here), entries))
    return Map(C.rows, C.columns, tuple(picks), total(dense) if dense else None)


def bilinear(left: Tensor, K: Map, right: Tensor) -> Tensor:
    """left^T K right, (B, p) and (B, q) -> (B,)."""
    return (left * K(right)).sum(-1)


def total(parts: list[Tensor]) -> Tensor:
    """The sum of one tensor or more."""
    return reduce(add, parts)


def _few(M: Map) -> Map:
    """The map with a matrix in place of picks that are too many."""
    if len(M.picks) <= MAX_PICKS or M.rows * M.columns > MAX_ENTRIES:
        return M
    return Map(M.rows, M.columns, dense=M.matrix(M.picks[0].factor))
