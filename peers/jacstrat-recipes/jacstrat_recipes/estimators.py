"""Estimators of other projects: the one probe of FFJORD, and those of curvlinops. None claims a standard error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

import torch
from torch import Tensor

from jacstrat import Operator, Strategy, UnsupportedError, UsageError
from jacstrat.strategies.contraction import Contraction
from jacstrat.strategies.draws import draw
from jacstrat.strategies.products import functional_gradient, jvp, reverse, reverse_gradient
from jacstrat.trace.arguments import Args, Function, taken


@dataclass(frozen=True)
class Ffjord(Strategy):
    """FFJORD's `divergence_approx`: e^T J e by one VJP, one probe e a point, drawn anew at each call.

    Source: Grathwohl et al. 2019, FFJORD, arXiv:1810.01367; lib/layers/odefunc.py of its code. Of a scalar, whose
    field is its gradient, it is sliced score matching's term: Song et al. 2019, arXiv:1905.07088.
    """

    name: ClassVar[str] = "ffjord"
    cost: ClassVar[str] = "1 VJP"
    exact_when: ClassVar[str] = "on average; J diagonal with rademacher probes"
    distribution: str = "normal"

    def __post_init__(self) -> None:
        if self.distribution not in ("normal", "rademacher"):
            raise UsageError(f"distribution must be normal or rademacher, got {self.distribution!r}")

    @property
    def stochastic(self) -> bool:
        return True

    def refuse(self, operator: Operator) -> str | None:
        return _refuse(operator, "it gives a trace")

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Function:
        field = operator.field(f, reverse_gradient)

        def evaluate(x: Tensor, *args: Any) -> Tensor:
            (e,) = draw(self.distribution, 1, x, generator)  # type: ignore[arg-type]
            return (reverse(field, x, *args)(e) * e).sum(-1)

        return evaluate


ESTIMATORS = {"hutchinson": 1, "hutch++": 3, "xtrace": 2}
"""Names of curvlinops' estimators of a trace, and what the number of products has to be a multiple of."""


@dataclass(frozen=True)
class Curvlinops(Strategy):
    """curvlinops' estimators of a trace on the Jacobian, or Hessian, of each point as a linear operator.

    curvlinops estimates the trace of one matrix, so points are taken one after the other.

    Fields:
        estimator: "hutchinson", "hutch++" or "xtrace".
        probes: Products a point, fewer than n; a multiple of 3 for hutch++, of 2 for xtrace.

    Source: https://github.com/f-dangel/curvlinops, curvlinops/trace.
    """

    name: ClassVar[str] = "curvlinops"
    cost: ClassVar[str] = "K JVP a point in a loop over points; K = probes"
    exact_when: ClassVar[str] = "on average"
    capturable: ClassVar[bool] = False
    estimator: str = "hutchinson"
    probes: int = 6

    def __post_init__(self) -> None:
        if self.estimator not in ESTIMATORS:
            raise UsageError(f"estimator must be one of {', '.join(ESTIMATORS)}, got {self.estimator!r}")
        multiple = ESTIMATORS[self.estimator]
        if isinstance(self.probes, bool) or not isinstance(self.probes, int) or self.probes < 1:
            raise UsageError(f"probes must be a positive integer, got {self.probes!r}")
        if self.probes % multiple:
            raise UsageError(f"probes must be a multiple of {multiple} for {self.estimator}, got {self.probes}")

    @property
    def stochastic(self) -> bool:
        return True

    @property
    def missing(self) -> str | None:
        try:
            version("curvlinops-for-pytorch")
        except PackageNotFoundError:
            return "curvlinops is not installed; run `pip install curvlinops-for-pytorch`"
        return None

    def refuse(self, operator: Operator) -> str | None:
        return _refuse(operator, "it gives a trace")

    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        n = x.shape[-1]
        if n <= self.probes:
            raise UnsupportedError(
                f"curvlinops takes fewer products than coordinates, and n = {n}; give probes below it"
            )
        field = operator.field(f, functional_gradient)

        def evaluate(x: Tensor, *args: Any) -> Tensor:
            rows = x if x.dim() == 2 else x.unsqueeze(0)
            with torch.random.fork_rng(devices=[x.device] if x.device.type == "cuda" else []):
                # curvlinops draws from torch's own generator.
                if not x.is_meta:
                    torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
                found = [
                    self._trace(field, rows[b : b + 1], taken(rows, args, slice(b, b + 1))) for b in range(len(rows))
                ]
            return torch.stack(found) if x.dim() == 2 else found[0]

        return Contraction(evaluate)

    def _trace(self, field: Function, row: Tensor, args: Args) -> Tensor:
        import curvlinops

        product = jvp(field, row, *args)

        class Jacobian(curvlinops._torch_base.PyTorchLinearOperator):
            """The Jacobian at one point."""

            device = row.device
            dtype = row.dtype

            def _matmat(self, columns: list[Tensor]) -> list[Tensor]:
                (V,) = columns
                return [torch.func.vmap(lambda v: product(v).squeeze(0), in_dims=-1, out_dims=-1)(V)]

        names = {"hutchinson": "hutchinson_trace", "hutch++": "hutchpp_trace", "xtrace": "xtrace"}
        estimate: Callable[..., Tensor] = getattr(curvlinops, names[self.estimator])
        shape = [tuple(row.shape[-1:])]
        return estimate(Jacobian(shape, shape), num_matvecs=self.probes)


def _refuse(operator: Operator, does: str) -> str | None:
    if not operator.is_trace:
        return f"{does}; use hutchinson"
    return "it would differentiate its own draws; use taylor" if operator.order == 4 else None
