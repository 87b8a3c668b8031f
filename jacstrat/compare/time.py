"""Time: a rank test on samples, an effect threshold, and Holm's correction over the cases.

A case is SLOWER where all of this holds: the test rejects that NEW is no slower, after Holm's correction over all cases
of the comparison; the ratio itself is beyond 1 + threshold; and the interval of the ratio lies above 1. FASTER is the
mirror image, below 1 / (1 + threshold). It is SAME where the interval holds 1 and lies within the threshold on either
side. All else is AMBIGUOUS, and so is what has fewer samples than the test needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jacstrat.compare.verdict import Finding, Gate, Verdict

LEVEL = 0.05
"""Chance that any case of a comparison is called SLOWER, and that any is called FASTER, where nothing changed."""
THRESHOLD = 0.05
# Below this the normal approximation of a rank test is off where it matters, in the tail.
LEAST_SAMPLES = 8


@dataclass(frozen=True, kw_only=True)
class TimeTest:
    """What the samples of one case say.

    Fields:
        base, new: Medians, seconds or, where the measure is cost_ratio, multiples of f's time.
        ratio: new over base.
        low, high: Its 95 % interval; None with too few samples.
        p_slower, p_faster: Of the one-sided test that NEW is no slower, and no faster.
        samples: Fewest of either side.
        needs: How many the test needs.
        short: Why there can be no verdict whatever the samples say; "" where there can.
        measure: "median_s" or "cost_ratio".
    """

    base: float
    new: float
    ratio: float
    low: float | None
    high: float | None
    p_slower: float
    p_faster: float
    samples: int
    needs: int = 0
    short: str = ""
    measure: str = "median_s"


def holm(p_values: Sequence[float]) -> np.ndarray:
    """p-values corrected for their number by Holm's step-down (1979): reject where at most the level."""
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def judge_times(
    tests: Sequence[TimeTest],
    thresholds: Sequence[float],
    level: float = LEVEL,
    drifts: Sequence[float] | None = None,
    advisory: bool = False,
) -> list[Finding]:
    """A verdict on the time of each case.

    Args:
        tests: Of every case that has samples: Holm's correction is over these.
        thresholds: By case, the effect that matters: 0.05 is 5 %.
        level: See LEVEL.
        drifts: By case, how far log ratios moved that had no reason to; SLOWER and FASTER lie beyond. None for runs
            that were interleaved.
        advisory: SLOWER is no regression.
    """
    slower, faster = holm([test.p_slower for test in tests]), holm([test.p_faster for test in tests])
    each_case = zip(tests, thresholds, slower, faster, drifts or [0.0] * len(tests), strict=True)
    return [_judge(*each, level, advisory) for each in each_case]


def _judge(
    test: TimeTest, threshold: float, slower: float, faster: float, drift: float, level: float, advisory: bool
) -> Finding:
    gap, effect = math.log(test.ratio), math.log1p(threshold)
    low, high = (None, None) if test.low is None or test.high is None else (math.log(test.low), math.log(test.high))
    change = f"{test.ratio - 1:+.1%}"
    interval = "" if test.low is None or test.high is None else f" ({test.low - 1:+.1%} to {test.high - 1:+.1%})"
    said = f"{'cost ratio' if test.measure == 'cost_ratio' else 'time'} {change}{interval}"
    verdict, reason = Verdict.AMBIGUOUS, said
    if test.short:
        reason = f"{said}: {test.short}"
    elif low is None or high is None:
        reason = f"{said}: no interval"
    elif math.isinf(drift):
        reason = f"{said}: too few other cases to show what drifted"
    elif abs(gap) > effect and abs(gap) <= drift:
        reason = f"{said}, within the drift of {math.expm1(drift):.0%} that f and the other cases show"
    elif gap > effect and low > 0 and slower <= level:
        verdict, reason = Verdict.SLOWER, f"{said}, threshold {threshold:.3g}"
    elif gap < -effect and high < 0 and faster <= level:
        verdict, reason = Verdict.FASTER, f"{said}, threshold {threshold:.3g}"
    elif low <= 0 <= high and -effect <= low and high <= effect:
        verdict = Verdict.SAME
    return Finding(
        gate=Gate.TIME,
        verdict=verdict,
        measure=test.measure,
        base=test.base,
        new=test.new,
        ratio=test.ratio,
        low=test.low,
        high=test.high,
        reason=reason,
        regression=verdict is Verdict.SLOWER and not advisory,
    )
