"""The strategies of the one formula tr(J M): probes, product and batching, composed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from jacstrat.core.operator import Operator
from jacstrat.strategies.auto.candidates import Candidate, Evidence
from jacstrat.strategies.base import Args, Function, Strategy, positive_or_all
from jacstrat.strategies.contraction import Contraction, Together
from jacstrat.strategies.gaps import Transform
from jacstrat.strategies.probes import ChunkSize, fixed_diagonal, unit_diagonal, unit_entries
from jacstrat.strategies.products import (
    Linearised,
    curvature,
    functional_gradient,
    jvp,
    reverse,
    reverse_gradient,
    vjp,
)

Linearise = Callable[..., Linearised]


def by_diagonal(
    operator: Operator,
    f: Function,
    linearise: Callable[..., Linearised],
    diagonal: Callable[[Linearised, Tensor], Tensor],
    entries: Callable[[Linearised, Tensor, Tensor], Tensor] | None = None,
) -> Contraction:
    """The operator from a diagonal that is found by products, with what linearising gives besides.

    Args:
        operator, f: What is wanted.
        linearise: From (x, *args) to the products with the Jacobian of the operator's field.
        diagonal: From these, and x, to the diagonal.
        entries: From these, coordinates (K,) and x, to these entries; those of the whole diagonal where not given.
    """

    def evaluate(x: Tensor, *args: Any) -> Tensor:
        result: Tensor = operator.reduced(diagonal(linearise(x, *args), x))
        return result

    def together(x: Tensor, *args: Any) -> Together:
        linear = linearise(x, *args)
        result = operator.reduced(diagonal(linear, x))
        return Together(result, *((None, linear.result) if operator.is_second else (linear.result, None)))

    def picked(coordinates: Tensor, x: Tensor, *args: Any) -> Tensor:
        linear = linearise(x, *args)
        return entries(linear, coordinates, x) if entries else diagonal(linear, x)[..., coordinates]

    return Contraction(evaluate, together=together, entries=picked)


def by_units(operator: Operator, f: Function, product: Linearise, chunk_size: ChunkSize) -> Contraction:
    """The operator by the n unit vectors, `chunk_size` products at a time, each read off at its own entry."""
    field = operator.field(f, reverse_gradient if product is reverse else functional_gradient)
    return by_diagonal(
        operator,
        f,
        lambda x, *args: product(field, x, *args),
        lambda linear, x: unit_diagonal(linear, x, chunk_size),
        lambda linear, coordinates, x: unit_entries(linear, coordinates, x, chunk_size),
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

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterator[Candidate]:
        yield evidence.looped(cls(), "reverse", op_s=4e-6)

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        return by_units(operator, f, reverse, chunk_size=1)


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

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterator[Candidate]:
        if evidence.is_diagonal:
            yield Candidate(cls(), evidence.costs["reverse"], 1, 1, 4e-6, ground=evidence.ground, guard=evidence.guard)

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        field = operator.field(f, reverse_gradient)

        def diagonal(linear: Linearised, x: Tensor) -> Tensor:
            return fixed_diagonal(linear, torch.ones(1, x.shape[-1], dtype=x.dtype, device=x.device), chunk_size=1)

        return by_diagonal(operator, f, lambda x, *args: reverse(field, x, *args), diagonal)


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

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterator[Candidate]:
        yield from evidence.batched(cls(), "vjp", op_s=12e-6)

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        return by_units(operator, f, vjp, self.chunk_size)


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

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterator[Candidate]:
        yield from evidence.batched(cls(chunk_size="all"), "jvp", op_s=15e-6)
        yield evidence.looped(cls(), "jvp", op_s=9e-6)

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        return by_units(operator, f, jvp, self.chunk_size)


@dataclass(frozen=True)
class ForwardOverForward(Strategy):
    """The Laplacian as a sum of n second directional derivatives e_i^T H e_i, each a JVP of a JVP: no reverse mode."""

    name: ClassVar[str] = "forward_over_forward"
    cost: ClassVar[str] = "n JVP of JVP"
    exact_when: ClassVar[str] = "always"
    takes_outputs: ClassVar[bool] = True
    chunk_size: ChunkSize = "all"

    def __post_init__(self) -> None:
        positive_or_all("chunk_size", self.chunk_size)

    def refuse(self, operator: Operator) -> str | None:
        return None if operator.order > 1 else "it takes second derivatives; use jvp"

    @property
    def transforms(self) -> frozenset[Transform]:
        return frozenset({"rules", "func", "forward", "twice"})

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        def last(products: Tensor, _: object) -> Tensor:
            return products.movedim(0, -1)

        contraction = by_diagonal(
            operator,
            f,
            lambda x, *args: curvature(f, x, *args),
            lambda linear, x: unit_diagonal(linear, x, self.chunk_size, last),
            lambda linear, coordinates, x: unit_entries(linear, coordinates, x, self.chunk_size, last),
        )
        return replace(contraction, together=None)
