"""Statistics of samples that assume no distribution: quartiles, the interval of a median, ratios by round.

Torch-free, so that reports and verdicts use the same figures as the runner.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """A sample in six numbers; the interval is None where there are too few values for it.

    Fields:
        median, q1, q3, minimum: Of the values, in their unit.
        low, high: The 95 % confidence interval of the median, from order statistics.
        samples: How many values.
    """

    median: float
    q1: float
    q3: float
    minimum: float
    low: float | None
    high: float | None
    samples: int

    @property
    def half_width(self) -> float:
        """Half the interval over the median: how well the median is known; infinite where there is no interval."""
        if self.low is None or self.high is None or self.median == 0:
            return math.inf
        return (self.high - self.low) / (2 * abs(self.median))


def summarise(values: Sequence[float]) -> Summary:
    """Six numbers of at least one value."""
    q1, median, q3 = np.quantile(values, (0.25, 0.5, 0.75))
    interval = median_interval(values)
    low, high = interval if interval else (None, None)
    return Summary(float(median), float(q1), float(q3), min(values), low, high, len(values))


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % confidence interval of the median, from order statistics; None for fewer than six values.

    The k-th smallest and the k-th largest of N values enclose the median with probability 1 - 2 P(X < k),
    X ~ Binomial(N, 1/2), whatever the distribution; k is the largest with at least 95 %.
    """
    k = _rank(len(values))
    if k == 0:
        return None
    ordered = np.sort(values)
    return float(ordered[k - 1]), float(ordered[-k])


@lru_cache(maxsize=4096)
def _rank(count: int) -> int:
    """The largest k with 2 P(X < k) <= 5 %, X ~ Binomial(count, 1/2); 0 where there is none."""
    term = math.exp2(-count) if count < 1000 else 0.0
    if term == 0.0:
        # The normal approximation of the binomial, to within one rank from here on.
        return max(int(count / 2 - 1.96 * math.sqrt(count) / 2), 0)
    tail, k = term, 0
    while 2 * tail <= 1 - CONFIDENCE:
        k += 1
        term *= (count - k + 1) / k
        tail += term
    return k


Round = TypeVar("Round", bound=Hashable)


def ratio(numerator: Mapping[Round, float], denominator: Mapping[Round, float]) -> Summary | None:
    """The ratio of two series taken side by side, by round: drift hits both and cancels.

    Args:
        numerator, denominator: Values by round.

    Returns:
        The summary of the ratios over the rounds that both have; None where they share none.
    """
    both = [numerator[r] / denominator[r] for r in numerator if r in denominator]
    return summarise(both) if both else None


def student_within(t: float, degrees: int) -> float:
    """P(|T| <= t) of Student's t with whole degrees of freedom, t >= 0.

    With a = atan(t / sqrt(degrees)) a finite sum in sin a and cos a: Abramowitz and Stegun 26.7.3 and 26.7.4.
    """
    angle = math.atan2(t, math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    total, term = 0.0, cosine if odd else 1.0
    for j in range(2 + odd, degrees + 1 + odd, 2):
        total += term
        term *= (j - 1) / j * cosine**2
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


@lru_cache(maxsize=256)
def student_quantile(share: float, degrees: int) -> float:
    """The t with P(|T| <= t) = share, 0 < share < 1, by bisection to 10^-9 of it."""
    high = 1.0
    while student_within(high, degrees) < share:
        high *= 2
    low = 0.0
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if student_within(middle, degrees) < share else (low, middle)
    return high


def chance_of_share(share: float, trials: int, rate: float) -> float:
    """At most how likely a share this low is among independent trials that each succeed with at least this rate.

    Chernoff's bound exp(-trials KL(share || rate)); it holds for the mean of independent values in [0, 1], too, and for
    rates that differ, rate then being their mean (Hoeffding 1963, theorem 1).
    """
    if share >= rate:
        return 1.0
    terms = ((share, rate), (1 - share, 1 - rate))
    return math.exp(-trials * sum(p * math.log(p / q) for p, q in terms if p > 0))
