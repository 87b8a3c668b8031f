"""The evidence beside a choice: what every candidate was predicted to take, what it took, and why some fell out."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from jacstrat.core.considered import Considered
from jacstrat.strategies.auto.candidates import Candidate
from jacstrat.strategies.auto.timed import Timed
from jacstrat.strategies.base import Strategy


def considered(
    candidates: Mapping[Strategy, Candidate], timed: Timed, failures: Mapping[str, Exception], x: Tensor
) -> tuple[Considered, ...]:
    """The candidates by their times, those that fell out last."""
    order = sorted(timed.order, key=lambda one: one.spec in failures)
    return tuple(_row(candidates[one], timed, failures.get(one.spec), x) for one in order)


def _row(candidate: Candidate, timed: Timed, failure: Exception | None, x: Tensor) -> Considered:
    work = candidate.work(x)
    return Considered(
        strategy=candidate.strategy.spec,
        probes=candidate.probes,
        operations=round(work.ops),
        flops=round(work.flops),
        written_bytes=round(work.bytes),
        alive_bytes=round(candidate.bytes(x)),
        setup_s=candidate.setup_s,
        predicted_s=timed.predicted[candidate.strategy],
        measured_s=timed.seconds.get(candidate.strategy),
        ground=candidate.ground,
        failure="" if failure is None else f"{type(failure).__name__}: {' '.join(str(failure).split())}",
    )
