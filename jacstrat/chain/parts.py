"""A chain of parts of a point that no map mixes and that share all weights: that of one part is contracted.

Each part is then a point of its own: of m parts matrices have 1/m^2 of the entries, and tangents 1/m of the columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from jacstrat.chain.maps import Map
from jacstrat.chain.picks import Pick


def number_of_parts(maps: Iterable[Map]) -> int:
    """Parts that each of the maps takes by itself, all by the same block; 1 where one does not, or none has a block."""
    every = list(maps)
    if not any(M.block is not None for M in every):
        return 1
    count = 0
    for M in every:
        if M.dense is not None or not all(pick.plain or pick.number is not None for pick in M.picks):
            return 1
        count = math.gcd(count, M.rows, M.columns) if M.block is None else math.gcd(count, M.count)
    return count


def part_of(M: Map, count: int) -> Map:
    """The map of one part of so many."""
    rows, columns = M.rows // count, M.columns // count
    picks = tuple(_shortened(pick, rows) for pick in M.picks)
    return Map(rows, columns, picks, dense=None if M.block is None else M.blocks(count))


def _shortened(pick: Pick, rows: int) -> Pick:
    """A multiple of the identity, of fewer entries."""
    return Pick.at(torch.arange(rows, device="cpu"), pick.factor[:rows], plain=pick.plain, number=pick.number)
