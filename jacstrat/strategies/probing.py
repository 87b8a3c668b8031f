"""The strategies of the one formula tr(J M): probes, product and batching, composed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from jacstrat.strategies.base import Contraction, Function, Operator, Strategy, positive_or_all
from jacstrat.strategies.gaps import Transform
from jacstrat.strategies.probes import ChunkSize, fixed_diagonal, unit_diagonal, unit_entries
from jacstrat.strategies.products import (
    Apply,
    curvature,
    functional_gradient,
    jvp,
    reverse,
    reverse_gradient,
    vjp,
)


def field_of(
    operator: Operator, f: Function, gradient: Callable[[Function], Function] = functional_gradient
) -> Function:
    """The field whose divergence is wanted: f, or for the Laplacian of a scalar f its gradient."""
    return gradient(f) if operator == "laplacian" else f


def summed(operator: Operator, diagonal: Function) -> Function:
    """The operator's result from a function that gives the diagonal: the diagonal itself, or its sum."""
    return diagonal if operator == "jacobian_diagonal" else lambda x: diagonal(x).sum(-1)


def by_units(operator: Operator, linearise: Callable[[Tensor], Apply], chunk_size: ChunkSize) -> Contraction:
    """The operator by the n unit vectors, `chunk_size` products at a time, each read off at its own entry."""
    return Contraction(
        summed(operator, lambda x: unit_diagonal(linearise(x), x, chunk_size)),
        entries=lambda x, coordinates: unit_entries(linearise(x), coordinates, x, chunk_size),
    )


@dataclass(frozen=True)
class Identity(Strategy):
    """Unit vectors, one VJP after the other: what everybody writes first.

    On the Laplacian: reverse over reverse. Source: the seed post's general selection, done with unit vectors.
    """

    name: ClassVar[str] = "identity"
    cost: ClassVar[str] = "n VJP"
    exact_when: ClassVar[str] = "always"

    @property
    def transforms(self) -> frozenset[Transform]:
        return frozenset({"rules", "reverse"})

    def build(self, operator: Operator, f: Function, x: Tensor, generator: torch.Generator | None) -> Contraction:
        field = field_of(operator, f, reverse_gradient)
        return by_units(operator, lambda x: reverse(field, x), chunk_size=1)


@dataclass(frozen=True)
class Ones(Strategy):
    """The ones vector, one VJP: M = 1 1^T, so the result is the sum of all entries of J.

    On the Laplacian: reverse over reverse. Source: the seed post, "only works in this specific example because J is
    diagonal".
    """

    name: ClassVar[str] = "ones"
    cost: ClassVar[str] = "1 VJP"
    exact_when: ClassVar[str] = "the off-diagonal entries of J sum to zero: J diagonal"
    is_plain: ClassVar[bool] = True

    @property
    def transforms(self) -> frozenset[Transform]:
        return frozenset({"rules", "reverse"})

    def build(self, operator: Operator, f: Function, x: Tensor, generator: torch.Generator | None) -> Contraction:
        field = field_of(operator, f, reverse_gradient)

        def diagonal(x: Tensor) -> Tensor:
            V = torch.ones(1, x.shape[-1], dtype=x.dtype, device=x.device)
            return fixed_diagonal(reverse(field, x), V, chunk_size=1)

        return Contraction(summed(operator, diagonal), entries=lambda x, coordinates: diagonal(x)[..., coordinates])


@dataclass(frozen=True)
class Vmap(Strategy):
    """Unit vectors, VJPs batched through torch.func.vmap, `chunk_size` at a time.

    On the Laplacian: reverse over reverse. Memory grows with chunk_size * B times the graph of f.
    """

    name: ClassVar[str] = "vmap"
    cost: ClassVar[str] = "n VJP, batched"
    exact_when: ClassVar[str] = "always"
    chunk_size: ChunkSize = "all"

    def __post_init__(self) -> None:
        positive_or_all("chunk_size", self.chunk_size)

    def build(self, operator: Operator, f: Function, x: Tensor, generator: torch.Generator | None) -> Contraction:
        field = field_of(operator, f)
        return by_units(operator, lambda x: vjp(field, x), self.chunk_size)


@dataclass(frozen=True)
class Jvp(Strategy):
    """Unit vectors, JVPs in forward mode, one at a time unless `chunk_size` says otherwise.

    On the Laplacian: forward over reverse. One at a time it needs no graph and the memory of about two evaluations.
    """

    name: ClassVar[str] = "jvp"
    cost: ClassVar[str] = "n JVP"
    exact_when: ClassVar[str] = "always"
    chunk_size: ChunkSize = 1

    def __post_init__(self) -> None:
        positive_or_all("chunk_size", self.chunk_size)

    @property
    def transforms(self) -> frozenset[Transform]:
        return frozenset({"rules", "func", "forward"})

    def build(self, operator: Operator, f: Function, x: Tensor, generator: torch.Generator | None) -> Contraction:
        field = field_of(operator, f)
        return by_units(operator, lambda x: jvp(field, x), self.chunk_size)


@dataclass(frozen=True)
class ForwardOverForward(Strategy):
    """The Laplacian as a sum of n second directional derivatives e_i^T H e_i, each a JVP of a JVP: no reverse mode."""

    name: ClassVar[str] = "forward_over_forward"
    cost: ClassVar[str] = "n JVP of JVP"
    exact_when: ClassVar[str] = "always"
    chunk_size: ChunkSize = "all"

    def __post_init__(self) -> None:
        positive_or_all("chunk_size", self.chunk_size)

    def refuse(self, operator: Operator) -> str | None:
        return None if operator == "laplacian" else "it takes second derivatives; use jvp"

    @property
    def transforms(self) -> frozenset[Transform]:
        return frozenset({"rules", "func", "forward", "twice"})

    def build(self, operator: Operator, f: Function, x: Tensor, generator: torch.Generator | None) -> Contraction:
        def last(products: Tensor, _: object) -> Tensor:
            return products.movedim(0, -1)

        return Contraction(
            summed(operator, lambda x: unit_diagonal(curvature(f, x), x, self.chunk_size, last)),
            entries=lambda x, coordinates: unit_entries(curvature(f, x), coordinates, x, self.chunk_size, last),
        )
