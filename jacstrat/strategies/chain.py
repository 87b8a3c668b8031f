"""The trace of a chain of matrices and diagonal factors, contracted in the cheapest order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from jacstrat.chain import Field
from jacstrat.core.errors import UnsupportedError
from jacstrat.core.operator import Operator
from jacstrat.strategies.auto.candidates import Candidate, Evidence
from jacstrat.strategies.auto.counting import OpCounts, ProductCost
from jacstrat.strategies.base import Args, Function, Strategy
from jacstrat.strategies.contraction import Contraction

# Coordinates from which on it is tried unasked; and what reading a chain takes, of what recording f does.
LEAST, CHAIN = 2, 2
# And what it takes to contract the matrices that do not depend on the point, a coordinate and a number that f writes of
# one: 10 ms for a layer of 64 behind 1024 coordinates, seconds for a network of each of 2048.
FOLD_S = 5e-9
# And for each multiplication of such matrices with one another; those of few entries take less than they have.
MULTIPLY_S = 1 / 30e9
# Coordinates from which on the diagonal of the same chain is read for a few entries: to hold the gradients of a sum
# against a witness takes as many VJPs as it has terms, ten times over.
LARGE = 64


@dataclass(frozen=True)
class Chain(Strategy):
    """J = C_L D_L ... C_1 D_1 C_0, read off the function's operations, C constant and D diagonal for each point.

    The trace is cyclic, and what does not depend on the point is contracted before: with one hidden layer the
    divergence is s'(z) . diag(W1 W2), with two s'(z2)^T [W2 * (W1 W3)^T] s'(z1), whatever n is; with more it takes
    tangents of the narrowest width. Residual sums distribute. A function that is no such chain is served through a cut
    of w < n entries, by w VJPs, or refused.

    Source: the trace is invariant under cyclic permutations; this project.
    """

    name: ClassVar[str] = "chain"
    cost: ClassVar[str] = "1 or 2 passes; behind more layers w tangents, w the narrowest width"
    records: ClassVar[bool] = True
    exact_when: ClassVar[str] = "always: it refuses what is no chain and has no narrow cut"

    def refuse(self, operator: Operator) -> str | None:
        return "a gradient goes through each layer twice; use taylor" if operator.order > 1 else None

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterator[Candidate]:
        # Of n unit vectors it saves where they are many; whether f is a chain, recording it tells.
        if evidence.operator.order == 1 and evidence.tried and evidence.n >= LEAST:
            setup_s = CHAIN * evidence.trace_s + fold_s(evidence.work, evidence.n, evidence.x.itemsize)
            yield Candidate(cls(), _cost(evidence.work), 1, 1, 6e-6, setup_s=setup_s)

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        field = Field(f, diagonal=not operator.is_trace)
        reason = field.prepared(x, args) if x.numel() else ""
        entries = _entries(field, x, args)
        return Contraction(field, reason=reason, entries=entries, is_traced=True, constants=field.constants)


def fold_s(f: OpCounts, n: int, itemsize: int) -> float:
    """Seconds to contract what does not depend on the point.

    Nothing is, where f has no product of matrices and its operations write the n entries of a point at most: all maps
    are diagonals then, or move entries. Of matrices in blocks, all alike, one block is.
    """
    numbers, blocks = f.bytes / itemsize, max(f.blocks, 1)
    if not f.flops and numbers <= f.ops * n:
        return 0.0
    return FOLD_S * n * numbers / blocks**2 + MULTIPLY_S * f.fold / blocks**3


def _cost(f: OpCounts) -> ProductCost:
    """What it costs for one point where f costs so much: two or three passes, where layers are folded."""
    return ProductCost(OpCounts(3 * f.ops + 10, 3 * f.flops, 3 * f.bytes), OpCounts(), OpCounts())


def _entries(field: Field, x: Tensor, args: Args) -> Callable[..., Tensor] | None:
    """Entries of the diagonal, where n is so large that all of the witness would take long, and a chain has one."""
    if x.shape[-1] < LARGE or not x.numel():
        return None
    diagonal = field.of_diagonal()
    try:
        diagonal.prepared(x, args)
    except UnsupportedError:
        return None

    def entries(coordinates: Tensor, x: Tensor, *args: Any) -> Tensor:
        d = diagonal(x, *args)
        if field.diagonal:
            return d[..., coordinates]
        # With what the sum is off by, as that is contracted in another way.
        return d[..., coordinates] + (field(x, *args) - d.sum(-1)).unsqueeze(-1)

    return entries
