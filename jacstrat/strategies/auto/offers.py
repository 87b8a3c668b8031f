"""What there is to choose among: the candidates of every strategy."""

from __future__ import annotations

from collections.abc import Iterator

from jacstrat.strategies.auto.candidates import Candidate, Evidence


def candidates_of(evidence: Evidence) -> Iterator[Candidate]:
    """The candidates of every strategy that has any, those that packages register among them."""
    from jacstrat.strategies import STRATEGIES

    for kind in STRATEGIES.values():
        yield from (one for one in kind.candidates(evidence) if one.strategy.refuse(evidence.operator) is None)


def on_ground(evidence: Evidence) -> list[Candidate]:
    """Those that are exact for this function alone, on the ground of its structure."""
    return [one for one in candidates_of(evidence) if one.ground] if evidence.ground else []
