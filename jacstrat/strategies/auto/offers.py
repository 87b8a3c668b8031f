"""What there is to choose among: the candidates of every strategy."""

from __future__ import annotations

from collections.abc import Iterator

from jacstrat.strategies.auto.candidates import Candidate, Evidence
from jacstrat.strategies.base import Strategy
from jacstrat.trace.tracers import has_hooks


def candidates_of(evidence: Evidence) -> Iterator[Candidate]:
    """The candidates of every strategy that has any, those that packages register among them."""
    from jacstrat.strategies import STRATEGIES

    # Where a checkpoint is around torch.func cannot be, but loops of reverse mode can, and what was recorded before.
    is_hooked = has_hooks()
    for kind in STRATEGIES.values():
        for one in kind.candidates(evidence):
            if one.strategy.refuse(evidence.operator) is None and not (is_hooked and _is_by_func(one.strategy)):
                yield one


def _is_by_func(strategy: Strategy) -> bool:
    return "func" in strategy.transforms and (strategy.captures or not strategy.records)


def on_ground(evidence: Evidence) -> list[Candidate]:
    """Those that are exact for this function alone, on the ground of its structure."""
    return [one for one in candidates_of(evidence) if one.ground] if evidence.ground else []
