"""What is known of a Jacobian's pattern, and how it was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.sparse import csr_array, vstack
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from jacstrat.core.errors import UsageError
from jacstrat.core.operator import Operator, parse_operator
from jacstrat.structure import sample
from jacstrat.structure.color import coloring
from jacstrat.structure.propagate import propagate
from jacstrat.structure.sets import ALL, MAX_ENTRIES, NONE, Sets
from jacstrat.trace.arguments import Args
from jacstrat.trace.graph import UntracedError, traced
from jacstrat.trace.numbers import NumbersGuard
from jacstrat.trace.tracers import is_transformed

StructureKind = Literal["diagonal", "sparse", "dense"]
PatternSource = Literal["traced", "sampled"]

# Coordinates up to which a dense pattern is written out.
SMALL = 1_000


@dataclass(frozen=True, eq=False, repr=False)
class Structure:
    """Which entries of a Jacobian, or of a Hessian, can be other than zero, and a colouring for its trace.

    Fields:
        kind: "diagonal"; "dense", where every entry may be non-zero or there are too many to tell; else "sparse".
        pattern: Boolean, (n, n); a superset of the non-zero entries. None for a "dense" one beyond n = 1000, which
            would be n^2 entries that are all True.
        color: Of each index, 0 to colors - 1, (n,): no two indices of one colour have an entry between them.
        source: "traced", a proof for every x and whatever the parameters are; "sampled", evidence from a few points.
        reason: Why it is only sampled; "" where it is traced.
        bandwidth: The largest |i - j| of an entry.
        blocks: Sizes of the blocks that J falls into when indices are permuted, ordered by their first index.
        guard: Of the numbers of tensors that f holds, such as an index, which the proof looked at.
    """

    kind: StructureKind
    pattern: csr_array | None
    color: np.ndarray
    source: PatternSource
    reason: str
    bandwidth: int
    blocks: tuple[int, ...]
    guard: NumbersGuard | None = None

    @property
    def n(self) -> int:
        """Coordinates of x."""
        return len(self.color)

    @property
    def colors(self) -> int:
        """How many colours, which is how many probes the trace and the diagonal need."""
        return int(self.color.max()) + 1

    @property
    def form(self) -> str:
        """The pattern in words: "tridiagonal", "16 blocks of up to 4"."""
        if self.kind != "sparse":
            return self.kind
        if self.bandwidth == 1:
            return "tridiagonal"
        if len(self.blocks) > 1:
            return f"{len(self.blocks)} blocks of up to {max(self.blocks)}"
        return "sparse" if self._ring_bandwidth is None else f"banded around the ring, bandwidth {self._ring_bandwidth}"

    @property
    def _ring_bandwidth(self) -> int | None:
        """The bandwidth with coordinates in a ring, of blocks or where that is no smaller None."""
        if len(self.blocks) > 1:
            return None
        assert self.pattern is not None
        rows, columns = self.pattern.nonzero()
        apart = np.abs(rows - columns)
        around = int(np.minimum(apart, self.n - apart).max())
        return around if around < min(self.bandwidth, self.n // 2) else None

    def __str__(self) -> str:
        is_band = self.kind == "sparse" and (
            self.bandwidth == 1 or (len(self.blocks) <= 1 and self._ring_bandwidth is None)
        )
        what = f", bandwidth {self.bandwidth}" if is_band else ""
        colors = f"{self.colors} {'colour' if self.colors == 1 else 'colours'}"
        return f"{self.source}: {self.form}{what}, {colors} of n = {self.n}"

    def __repr__(self) -> str:
        return f"<Structure {self}{f'; {self.reason}' if self.reason else ''}>"


def detect_structure(
    f: Callable[..., Tensor], x: Tensor, operator: str | Operator = "divergence", args: Args = ()
) -> Structure:
    """The pattern of f's Jacobian, or for "laplacian" of its Hessian, and a colouring of it.

    f is traced at a point that has a shape and no values, and each operation tells which coordinates of x each element
    of its result depends on. Where f cannot be traced so, as with a branch on a value, its derivatives at several
    points are looked at, and `source` says "sampled".

    Args:
        f: Row-wise field, (B, n) -> (B, n), or scalar, (B, n) -> (B,).
        x: A point (n,) or points (B, n); its values count only where f cannot be traced.
        operator: Whose field it is: "divergence", "laplacian", or another of OPERATORS, of all coordinates.
        args: Further arguments of f, called as f(x, *args).

    Raises:
        ShapeError: f(x) has a shape that does not fit.
        UsageError: No such operator.

    Cost: one trace, and time and memory proportional to the entries of the pattern; sampled, n VJP at five points,
        or nothing beyond n = 2000, where the answer is "dense".
    """
    operator = parse_operator(operator)
    if not operator.is_plain or operator.order > 2:
        raise UsageError(
            f"a structure is that of J or H as a whole, got {operator}; take {operator.kind}'s own operator"
        )
    n = x.shape[-1]
    try:
        return prove_structure(f, x, operator, args)
    except UntracedError as error:
        reason = str(error)
    inside = is_transformed()
    if x.is_meta or inside or n > sample.MAX_N:
        what = "x has no values" if x.is_meta else "a transform hides them" if inside else f"n is above {sample.MAX_N}"
        return _dense(n, "sampled", f"{reason}; nothing was sampled, since {what}")
    pattern = sample.sampled(f, x, operator, args)
    if pattern is None:
        return _dense(n, "sampled", f"{reason}; f is not finite near x")
    return _from_pattern(pattern, "sampled", reason)


def prove_structure(f: Callable[..., Tensor], x: Tensor, operator: Operator, args: Args = ()) -> Structure:
    """The structure by a trace and nothing else: it holds for every x and every value of the parameters.

    Raises:
        UntracedError: f cannot be traced; says why.
    """
    found = propagate(traced(f, x, operator, args), x.shape[-1])
    return replace(_from_sets(found.sets), guard=NumbersGuard.of(found.looked_at))


def _from_sets(sets: Sets) -> Structure:
    """Row i of the pattern is the set of element i of a row of the result."""
    # Rows of x are alike as a rule; where they are not, their union.
    sets = sets.over(range(sets.ids.dim() - 1))
    ids, n = sets.ids.reshape(-1).numpy(), sets.n
    sizes = np.diff(sets.table.indptr)
    sizes[ALL] = n
    if sizes[ids].sum() > min(MAX_ENTRIES, n * n - 1):
        return _dense(n, "traced")
    whole = csr_array(np.ones((1, n), dtype=bool))
    table = vstack([sets.table[[NONE]], whole, sets.table[ALL + 1 :]], format="csr")
    return _from_pattern(table[ids], "traced")


def _from_pattern(pattern: csr_array, source: PatternSource, reason: str = "") -> Structure:
    n = pattern.shape[0]
    rows, columns = pattern.nonzero()
    bandwidth = int(np.abs(rows - columns).max(initial=0))
    if bandwidth == 0:
        return Structure("diagonal", pattern, np.zeros(n, dtype=np.int64), source, reason, 0, (1,) * n)
    if pattern.nnz == n * n:
        return _dense(n, source, reason)
    _, label = connected_components(pattern, directed=True, connection="weak")
    _, first, counts = np.unique(label, return_index=True, return_counts=True)
    blocks = tuple(int(size) for size in counts[np.argsort(first)])
    return Structure("sparse", pattern, coloring(pattern), source, reason, bandwidth, blocks)


def _dense(n: int, source: PatternSource, reason: str = "") -> Structure:
    if n == 1:
        return Structure(
            "diagonal", csr_array(np.ones((1, 1), dtype=bool)), np.zeros(1, dtype=np.int64), source, reason, 0, (1,)
        )
    pattern = csr_array(np.ones((n, n), dtype=bool)) if n <= SMALL else None
    return Structure("dense", pattern, np.arange(n), source, reason, n - 1, (n,))
