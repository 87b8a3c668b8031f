"""Collapsed Taylor mode: the Laplacian in one pass through the function's own operations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from jacstrat.core.errors import UnsupportedError, UsageError
from jacstrat.core.operator import Operator
from jacstrat.strategies.auto.candidates import Candidate, Evidence
from jacstrat.strategies.auto.counting import OpCounts, ProductCost
from jacstrat.strategies.base import Args, Function, Strategy, positive_or_all
from jacstrat.strategies.contraction import Contraction, Passes, Together
from jacstrat.strategies.draws import averaged, draw, rate_of, refuse_nested
from jacstrat.strategies.gaps import Transform
from jacstrat.taylor import Checkpoint, Scalar, Tile, Untraceable
from jacstrat.trace.arguments import repeated


@dataclass(frozen=True)
class Taylor(Strategy):
    """Value, n tangents and their Laplacian through each operation of the function once.

    The function is traced, at each shape of x once. `tile` points are done at a time; with `compress` n directions
    become as few as the tangents behind the first layers span.

    In training each of several tiles is computed again on the way back, with `checkpoint`, so that only one is kept.

    With `probes` it goes along so many Rademacher directions, own ones of each point and fresh ones at each call, whose
    mean of v^T H v is the Laplacian on average. A call carries the one sum over them. An estimate of the standard error
    needs each of them alone: it takes every direction as a point of its own, three passes each. With probes >= n the n
    unit vectors cost no more and are exact, so they are used.

    Source: Li et al. 2024, A computational framework for neural network-based variational Monte Carlo with forward
    Laplacian; Dangel et al. 2025, Collapsing Taylor mode automatic differentiation.
    """

    name: ClassVar[str] = "taylor"
    cost: ClassVar[str] = "n tangents in one pass"
    exact_when: ClassVar[str] = "always; with probes on average"
    records: ClassVar[bool] = True
    takes_outputs: ClassVar[bool] = True
    tile: Tile = "auto"
    compress: bool = True
    probes: int | Literal["all"] = "all"
    checkpoint: Checkpoint = "auto"

    def __post_init__(self) -> None:
        if self.tile != "auto":
            positive_or_all("tile", self.tile)
        if not isinstance(self.compress, bool):
            raise UsageError(f"compress must be true or false, got {self.compress!r}; leave it out for true")
        positive_or_all("probes", self.probes)
        if self.checkpoint != "auto" and not isinstance(self.checkpoint, bool):
            raise UsageError(f"checkpoint must be true, false or auto, got {self.checkpoint!r}; leave it out for auto")

    @property
    def stochastic(self) -> bool:
        return self.probes != "all"

    @property
    def claimed_rate(self) -> float | None:
        return None if self.probes == "all" else rate_of(self.probes)

    @property
    def transforms(self) -> frozenset[Transform]:
        return frozenset({"func"})  # its rules are its own

    def refuse(self, operator: Operator) -> str | None:
        if operator.order == 1:
            return "a field has no second derivatives to collapse; use jvp"
        if self.stochastic and (reason := refuse_nested(operator)):
            return reason
        return None if operator.is_trace else "it sums second derivatives as it goes; use jvp"

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterator[Candidate]:
        if evidence.operator.order == 1 or not evidence.operator.is_trace or not evidence.tried:
            return
        n = evidence.n
        # In training nobody knows how often it will be differentiated; compressed directions allow once. For a few
        # points to find them takes longer than it saves.
        for strategy in (cls(compress=False),) if evidence.tried.leaves else (cls(), cls(compress=False)):

            def make(
                operator: Operator, f: Function, x: Tensor, args: Args, strategy: Taylor = strategy
            ) -> Contraction:
                built = strategy.contracted(operator, f, x, args, None)
                if built.reason:
                    raise UnsupportedError(built.reason)  # by products, as others are
                return built

            yield Candidate(strategy, _cost(evidence.work), n, n, 6e-6, make=make, setup_s=evidence.trace_s)

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        scalar = Scalar(f, self.compress, self.tile, self.checkpoint)
        is_split = isinstance(self.tile, int) and x.dim() == 2 and len(x) > self.tile
        whole = scalar.tape(x, args) if is_split else None
        if whole is not None and not isinstance(whole, Untraceable) and whole.bound:
            raise UnsupportedError(f"{self.spec} takes points in parts, and f {whole.bound}; leave out tile")
        return self._contraction(scalar, x, args, generator)

    @property
    def nested(self) -> Strategy:
        return replace(self, compress=False, checkpoint=False)

    def _contraction(self, scalar: Scalar, x: Tensor, args: Args, generator: torch.Generator | None) -> Contraction:
        tapes = [scalar.tape(*part) for part in scalar.tiles(x, args)]
        failed = [tape for tape in tapes if isinstance(tape, Untraceable)]
        K = self.probes
        exact = K == "all" or x.shape[-1] <= K
        reason = f"{'n' if exact else K} VJPs of the gradient, as f cannot be traced: {failed[0]}" if failed else ""
        directions = x.shape[-1] if K == "all" or exact else K
        passes = None if failed else Passes(f_evaluations=1, vjp_products=0, jvp_products=directions)

        def along(V: Tensor, x: Tensor, *args: Any) -> Tensor:
            # A copy: directions are overwritten where no graph is recorded.
            V = V.unsqueeze(1).expand(-1, *x.shape).clone() if x.dim() == 2 else V.clone()
            return scalar.laplacian(x, *args, V=V)

        def together(x: Tensor, *args: Any) -> Together:
            value, gradient, laplacian = scalar.together(x, *args)
            return Together(laplacian, value, gradient)

        contraction = Contraction(
            scalar.laplacian,
            reason=reason,
            passes=passes,
            parts=scalar.apart,
            along=along,
            is_traced=True,
            constants=scalar.constants,
        )
        if K == "all" or exact:
            return replace(contraction, together=together)

        def evaluate(x: Tensor, *args: Any) -> Tensor:
            return scalar.laplacian(x, *args, V=draw("rademacher", K, x, generator)) / K

        def values(x: Tensor, *args: Any) -> Tensor:
            """v^T H v of each direction, (K, ...)."""
            V = draw("rademacher", K, x, generator)
            points = x.expand(V.shape).reshape(-1, x.shape[-1])
            forms = scalar.laplacian(points, *repeated(x, args, K), V=V.reshape(1, *points.shape))
            return forms.view(K, *x.shape[:-1], *forms.shape[1:])

        return replace(contraction, evaluate=evaluate, estimate=averaged(values).estimate, parts=None)


def _cost(f: OpCounts) -> ProductCost:
    """What it costs for one point where f costs so much, n tangents as n probes.

    Of the scalars in the library, n and B as in the default sweep, the operations are 2.3 to 8.5 times those of f, but
    for a product of entries, which has no more than four, and the bytes 0.1 to 3 times n times those of f.
    """
    return ProductCost(
        OpCounts(4.5 * f.ops + 4, 2 * f.flops, 4 * f.bytes), OpCounts(), OpCounts(0, f.flops, 1.5 * f.bytes)
    )
