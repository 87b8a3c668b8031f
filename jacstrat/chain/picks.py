"""Picks: linear maps that move entries and scale them, each row from one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from weakref import WeakKeyDictionary

import torch
from torch import Tensor


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
        number: What it multiplies all entries by, (), where it is a multiple of the identity.
    """

    places: Places
    factor: Tensor
    plain: bool = False
    number: Tensor | None = None

    @property
    def index(self) -> Tensor:
        """(rows,), whole numbers."""
        return self.places.index

    @staticmethod
    def at(known: Tensor, factor: Tensor, plain: bool = False, number: Tensor | None = None) -> Pick:
        """The pick with these indices, on the device of the factor."""
        return Pick(Places(known.to(factor.device), known), factor, plain, number)

    def __call__(self, v: Tensor) -> Tensor:
        """P v along the last axis."""
        if self.plain:
            return v
        return v[..., self.index] * self.factor

    def behind(self, first: Pick) -> Pick:
        """The pick that applies `first` first."""
        if self.plain or first.plain:
            return first if self.plain else self
        number = None if self.number is None or first.number is None else self.number * first.number
        return Pick(self.places.behind(first.places), self.factor * first.factor[self.index], number=number)

    def scaled(self, factor: Tensor) -> Pick:
        """diag(factor) P; factor is (rows,) or ()."""
        number = None
        if factor.dim() == 0:
            number = factor if self.plain else None if self.number is None else self.number * factor
        return Pick(self.places, self.factor * factor, number=number)

    def matrix(self, columns: int) -> Tensor:
        """(rows, columns)."""
        M = self.factor.new_zeros(len(self.index), columns)
        return M.scatter(1, self.index.unsqueeze(1), self.factor.unsqueeze(1))
