"""One probe a colour of the proved pattern: between unit vectors, one an index, and the ones vector, one for all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from jacstrat.errors import UnsupportedError, UsageError
from jacstrat.strategies.base import Contraction, Function, Operator, Strategy, positive_or_all
from jacstrat.strategies.probes import ChunkSize, fixed_diagonal
from jacstrat.strategies.probing import by_units, field_of, summed
from jacstrat.strategies.products import jvp, vjp
from jacstrat.strategies.witness import has_numbers
from jacstrat.structure import Structure, UntracedError, detect_structure, prove_structure
from jacstrat.tape.rows import rows_apart

PRODUCTS = {"reverse": vjp, "forward": jvp}


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
    product: Literal["reverse", "forward"] = "reverse"
    chunk_size: ChunkSize = "all"
    trust: bool = False

    def __post_init__(self) -> None:
        positive_or_all("chunk_size", self.chunk_size)
        if self.product not in PRODUCTS:
            raise UsageError(f"product must be reverse or forward, got {self.product!r}; leave it out for reverse")
        if not isinstance(self.trust, bool):
            raise UsageError(f"trust must be true or false, got {self.trust!r}; leave it out for false")

    def build(self, operator: Operator, f: Function, x: Tensor, generator: torch.Generator | None) -> Contraction:
        if has_numbers(x) and (why := rows_apart(f, x)):
            raise UnsupportedError(f"{self.spec} traces f at one or two points, and f {why}; use vmap")
        return self.along(self._structure(operator, f, x), operator, f, x)

    def _structure(self, operator: Operator, f: Function, x: Tensor) -> Structure:
        if self.trust:
            return detect_structure(f, x, operator)
        try:  # and no sample, which would be refused: f may not even end at the points of one
            return prove_structure(f, x, operator)
        except UntracedError as error:
            raise UnsupportedError(
                f"{self.spec} has no proof of the structure of this function: {error}; "
                "trust=true takes the pattern that is sampled"
            ) from error

    def along(self, structure: Structure, operator: Operator, f: Function, x: Tensor) -> Contraction:
        """The strategy on a structure that is known already."""
        field, product, K = field_of(operator, f), PRODUCTS[self.product], structure.colors
        if structure.n == K:
            units = by_units(operator, lambda x: product(field, x), self.chunk_size)
            return replace(units, reason=str(structure), is_traced=True)
        color = torch.from_numpy(structure.color).to(x.device)
        V = (color == torch.arange(K, device=x.device).unsqueeze(1)).to(x.dtype)

        def diagonal(x: Tensor) -> Tensor:
            return fixed_diagonal(product(field, x), V.to(x), self.chunk_size)

        return Contraction(
            summed(operator, diagonal),
            reason=str(structure),
            entries=lambda x, coordinates: diagonal(x)[..., coordinates],
            is_traced=True,
        )
