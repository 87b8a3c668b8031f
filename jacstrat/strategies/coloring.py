"""One probe a colour of the proved pattern: between unit vectors, one an index, and the ones vector, one for all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from jacstrat.core.errors import UnsupportedError, UsageError
from jacstrat.core.operator import Operator
from jacstrat.strategies.auto.candidates import Candidate, Evidence
from jacstrat.strategies.base import Args, Function, Strategy, positive_or_all
from jacstrat.strategies.contraction import Contraction
from jacstrat.strategies.look import has_numbers
from jacstrat.strategies.probes import ChunkSize, fixed_diagonal
from jacstrat.strategies.probing import by_diagonal, by_units
from jacstrat.strategies.products import PRODUCTS, Linearised, ProductMode, functional_gradient
from jacstrat.structure import Structure, UntracedError, detect_structure, prove_structure
from jacstrat.trace.rows import rows_apart


@dataclass(frozen=True)
class Coloring(Strategy):
    """Indicator vectors of the K colours of the pattern of J, which is traced when preparing; batched through vmap.

    M = sum_c 1_c 1_c^T, and the result is off by tr(J (M - I)), the sum of J_ij over the pairs i, j of one colour: of
    entries that the trace proves to be zero. Where all n colours are needed, it is `vmap` or `jvp`. On the Laplacian:
    reverse over reverse, or with product=forward forward over reverse. With trust=true a pattern will do that was only
    seen at several points. Memory grows with K * B times the graph of f; with chunk_size colours at a time less.

    Source: Gebremedhin, Manne, Pothen 2005, What color is your Jacobian?; distance 1 is enough for the trace.
    """

    name: ClassVar[str] = "coloring"
    cost: ClassVar[str] = "K VJP or JVP, batched; K colours"
    exact_when: ClassVar[str] = "always: it refuses where the structure is not proved"
    product: ProductMode = "reverse"
    chunk_size: ChunkSize = "all"
    trust: bool = False

    def __post_init__(self) -> None:
        positive_or_all("chunk_size", self.chunk_size)
        if self.product not in PRODUCTS:
            raise UsageError(f"product must be reverse or forward, got {self.product!r}; leave it out for reverse")
        if not isinstance(self.trust, bool):
            raise UsageError(f"trust must be true or false, got {self.trust!r}; leave it out for false")

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterator[Candidate]:
        structure, n = evidence.structure, evidence.n
        if structure is None or evidence.assumed or structure.colors == n:
            return
        trust, K = structure.source == "sampled", structure.colors
        for strategy, product, op_s in ((cls(trust=trust), "vjp", 12e-6), (cls("forward", trust=trust), "jvp", 15e-6)):

            def make(
                operator: Operator, f: Function, x: Tensor, args: Args, strategy: Coloring = strategy
            ) -> Contraction:
                # Colours that a trace has found are not found again.
                return strategy.along(structure, operator, f, x)

            candidate = Candidate(strategy, evidence.costs[product], K, K, op_s, make=make)
            yield replace(candidate, ground=evidence.ground, guard=evidence.guard)

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        if has_numbers(x) and (why := rows_apart(f, x, args)):
            raise UnsupportedError(f"{self.spec} traces f at one or two points, and f {why}; use vmap")
        return self.along(self._structure(operator, f, x, args), operator, f, x)

    def _structure(self, operator: Operator, f: Function, x: Tensor, args: Args) -> Structure:
        if self.trust:
            return detect_structure(f, x, operator, args)
        try:  # and no sample, which would be refused: f may not even end at the points of one
            return prove_structure(f, x, operator, args)
        except UntracedError as error:
            raise UnsupportedError(
                f"{self.spec} has no proof of the structure of this function: {error}; "
                "trust=true takes the pattern that is sampled"
            ) from error

    def along(self, structure: Structure, operator: Operator, f: Function, x: Tensor) -> Contraction:
        """The strategy on a structure that is known already."""
        product, K = PRODUCTS[self.product], structure.colors
        if structure.n == K:
            return replace(by_units(operator, f, product, self.chunk_size), reason=str(structure), is_traced=True)
        field = operator.field(f, functional_gradient)
        color = torch.from_numpy(structure.color).to(x.device)
        V = (color == torch.arange(K, device=x.device).unsqueeze(1)).to(x.dtype)

        def diagonal(linear: Linearised, x: Tensor) -> Tensor:
            return fixed_diagonal(linear, V.to(x), self.chunk_size)

        contraction = by_diagonal(operator, f, lambda x, *args: product(field, x, *args), diagonal)
        return replace(contraction, reason=str(structure), is_traced=True, guard=structure.guard)
