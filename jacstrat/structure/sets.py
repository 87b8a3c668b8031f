"""The coordinates of x that each element of a tensor depends on, as one set id an element and a table of sets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array, eye_array, vstack
from torch import Tensor

# The ids of the set without coordinates and of that of all n, which is never written out.
NONE, ALL = 0, 1
# Entries that one union may go through; beyond it the largest of its sets become ALL, which is a superset.
MAX_ENTRIES = 20_000_000
# Operands up to which equal unions are found and made once.
FEW = 16


@dataclass(frozen=True, eq=False)
class Sets:
    """A set of coordinates for each element of a tensor.

    Fields:
        ids: int64, shaped as the tensor: which row of the table.
        table: Boolean, (number of sets, n); rows NONE and ALL stand for themselves and have no entries.
    """

    ids: Tensor
    table: csr_array

    @property
    def n(self) -> int:
        """Coordinates of x."""
        return int(self.table.shape[1])

    @classmethod
    def each(cls, shape: Sequence[int]) -> Sets:
        """Of x itself: element i of each row depends on coordinate i."""
        n = shape[-1]
        table = vstack([csr_array((2, n), dtype=bool), eye_array(n, dtype=bool, format="csr")], format="csr")
        return cls(torch.arange(2, n + 2, device="cpu").expand(tuple(shape)), table)

    @classmethod
    def constant(cls, shape: Sequence[int], n: int) -> Sets:
        """Of a tensor without a derivative: every set is empty."""
        return cls(torch.zeros((), dtype=torch.int64, device="cpu").expand(tuple(shape)), csr_array((2, n), dtype=bool))

    def expand(self, shape: Sequence[int]) -> Sets:
        """As torch's expand: no memory is taken for what is repeated."""
        return Sets(self.ids.expand(tuple(shape)), self.table)

    def over(self, dims: Iterable[int]) -> Sets:
        """The union over the elements along `dims`, which stay with size 1."""
        ids, every = self.ids, range(self.ids.dim())
        dims = [dim % len(every) for dim in dims] if every else []
        # What is repeated is united once.
        ids = ids[
            tuple(slice(0, 1) if ids.stride(dim) == 0 and size else slice(None) for dim, size in enumerate(ids.shape))
        ]
        dims_left = [dim for dim in every if dim not in dims]
        count = math.prod(ids.shape[dim] for dim in dims_left)
        rows = ids.permute([*dims_left, *dims]).reshape(count, math.prod(ids.shape[dim] for dim in dims))
        united, table = unite(rows.numpy(), self.table)
        shape = [1 if dim in dims else ids.shape[dim] for dim in every]
        whole = [1 if dim in dims else self.ids.shape[dim] for dim in every]
        return Sets(torch.from_numpy(united).reshape(shape).expand(whole), table)

    def all(self) -> Sets:
        """The union over all elements, without an axis."""
        union = self.over(range(self.ids.dim()))
        return Sets(union.ids.reshape(()), union.table)


def aligned(values: Sequence[Sets]) -> tuple[list[Tensor], csr_array]:
    """Ids of several values in one table."""
    table, shifts = values[0].table, {id(values[0].table): 0}
    for value in values[1:]:
        if id(value.table) not in shifts:
            shifts[id(value.table)] = table.shape[0] - 2
            table = vstack([table, value.table[2:]], format="csr")
    ids = []
    for value in values:
        shift = shifts[id(value.table)]
        ids.append(torch.where(value.ids > ALL, value.ids + shift, value.ids) if shift else value.ids)
    return ids, table


def together(values: Sequence[Sets]) -> Sets:
    """The union of several values element by element, broadcast against each other."""
    ids, table = aligned(values)
    distinct = list({id(one): one for one in ids}.values())
    if len(distinct) == 1:
        return Sets(distinct[0], table)
    operands = torch.broadcast_tensors(*distinct)
    united, table = unite(torch.stack(operands, -1).reshape(-1, len(operands)).numpy(), table)
    return Sets(torch.from_numpy(united).reshape(operands[0].shape), table)


def unite(rows: np.ndarray, table: csr_array) -> tuple[np.ndarray, csr_array]:
    """The union of the sets in each row.

    Args:
        rows: Ids, (R, k).
        table: What they are ids of.

    Returns:
        Ids, (R,), and the table they are of, which holds no other sets.
    """
    rows, inverse = _distinct(rows)
    united = rows.max(1, initial=NONE)
    # A row of one set and of empty ones is that set.
    many = ((rows != NONE) & (rows != united[:, None])).any(1)
    whole = (rows == ALL).any(1)
    united[whole] = ALL
    many &= ~whole
    unions, union_ids = _united(rows[many], table)
    united[many] = np.where(union_ids > ALL, union_ids + table.shape[0] - 2, union_ids)
    used = np.unique(united)
    used = used[used > ALL]
    table = vstack([table, unions], format="csr")[np.concatenate(([NONE, ALL], used))]
    return np.where(united > ALL, np.searchsorted(used, united) + 2, united)[inverse], table


def unite_groups(groups: np.ndarray, ids: np.ndarray, count: int, table: csr_array) -> tuple[np.ndarray, csr_array]:
    """The union of the sets of each of `count` groups, given as pairs of a group and an id."""
    groups, ids = groups[ids != NONE], ids[ids != NONE]
    order = np.argsort(groups, kind="stable")
    groups, ids = groups[order], ids[order]
    # Ragged rows, filled up with empty sets.
    starts = np.searchsorted(groups, np.arange(count))
    position = np.arange(len(groups)) - starts[groups]
    width = int(position.max(initial=0)) + 1
    if count * width > MAX_ENTRIES:
        return np.full(count, ALL), csr_array((2, table.shape[1]), dtype=bool)
    rows = np.full((count, width), NONE)
    rows[groups, position] = ids
    return unite(rows, table)


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows as far as they are cheap to find, and which of them each row is."""
    count, width = rows.shape
    everyone = np.arange(count)
    if width > FEW or width == 0:
        return rows, everyone
    rows = np.sort(rows, axis=1)
    key = rows[:, 0]
    for column in range(width):
        # Two numbers in one; each pass makes the key dense again, so that it stays below count * (number of sets).
        _, key = np.unique(key * (int(rows[:, column].max(initial=0)) + 1) + rows[:, column], return_inverse=True)
    first = np.zeros(int(key.max(initial=-1)) + 1, dtype=np.int64)
    first[key[::-1]] = everyone[::-1]
    return rows[first], key


def _united(rows: np.ndarray, table: csr_array) -> tuple[csr_array, np.ndarray]:
    """New sets, one for each row that is not all of the coordinates, and the id of each row as if they stood alone."""
    count, n = len(rows), table.shape[1]
    row, column = np.nonzero(rows != NONE)
    chosen = csr_array((np.ones(len(row), dtype=bool), (row, rows[row, column])), shape=(count, table.shape[0]))
    # An upper bound of each union's size is what it costs.
    bounds = chosen.astype(np.int64) @ np.diff(table.indptr)
    whole = bounds > MAX_ENTRIES // max(count, 1) if bounds.sum() > MAX_ENTRIES else np.zeros(count, dtype=bool)
    unions = chosen[~whole] @ table
    sizes = np.full(count, n)
    sizes[~whole] = np.diff(unions.indptr)
    ids = np.full(count, ALL)
    ids[sizes < n] = np.arange(2, 2 + np.count_nonzero(sizes < n))
    return unions[sizes[~whole] < n], ids
