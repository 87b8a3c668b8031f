"""Times of candidates, as measured in a trial and as predicted from counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from jacstrat.strategies.base import Strategy

# What is no slower than the fastest by more than this is as fast, as far as a few calls tell; the counts decide then.
NEAR = 1.03
# The same, where there is nothing but the first call of one of them.
ROUGHLY_NEAR = 1.1


class Timed(NamedTuple):
    """Candidates with their times.

    Fields:
        seconds: Of a call, measured; empty where nothing was timed.
        predicted: The same, right up to a common factor, of every candidate.
        trace_s: What it took to prove a structure.
        rough: Those measured that were called but once.
    """

    seconds: Mapping[Strategy, float]
    predicted: Mapping[Strategy, float]
    trace_s: float
    rough: frozenset[Strategy] = frozenset()

    @property
    def every(self) -> dict[Strategy, float]:
        """Seconds of every candidate: what was not called takes as many times the best's as was predicted."""
        if not self.seconds:
            return dict(self.predicted)
        best = self.order[0]
        scale = self.seconds[best] / self.predicted[best]
        return {one: self.seconds.get(one, scale * self.predicted[one]) for one in self.predicted}

    @property
    def order(self) -> list[Strategy]:
        """The fastest first: of those that are as fast as the fastest by their calls, that by counts."""
        if not self.seconds:
            return sorted(self.predicted, key=self.predicted.__getitem__)
        best = min(self.seconds, key=self.seconds.__getitem__)

        def rank(one: Strategy) -> tuple[int, float]:
            if one not in self.seconds:
                return 2, self.predicted[one]
            within = ROUGHLY_NEAR if self.rough & {one, best} else NEAR
            is_near = self.seconds[one] <= within * self.seconds[best]
            return (0, self.predicted[one]) if is_near else (1, self.seconds[one])

        return sorted(self.predicted, key=rank)
