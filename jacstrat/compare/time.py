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
from typing import Literal

import numpy as np
from scipy.special import stdtr, stdtrit
from scipy.stats import wilcoxon

from jacstrat.compare.verdict import Finding, Gate, Verdict
from jacstrat.statistics import CONFIDENCE

LEVEL = 0.05
"""Chance that any case of a comparison is called SLOWER, and that any is called FASTER, where nothing changed."""
THRESHOLD = 0.05
# Below this the normal approximation of a rank test is off where it matters, in the tail.
LEAST_SAMPLES = 8
LEAST_PAIRS = 3
# What two processes that run the same code differ by, one pair: standard deviation of the log ratio, 1.3 to 2.8 %
# as MEASURING.md found, and how many pairs that knowledge is worth (see `pair_test`).
PAIR_SPREAD = 0.02
PAIR_SPREAD_DEGREES = 4


@dataclass(frozen=True, kw_only=True)
class TimeTest:
    """What the samples of one case say.

    Fields:
        base, new: Medians, seconds or, where the measure is cost_ratio, multiples of f's time.
        ratio: new over base.
        low, high: Its 95 % interval; None with too few samples.
        p_slower, p_faster: Of the one-sided test that NEW is no slower, and no faster.
        samples: Fewest of either side, or blocks of all pairs.
        needs: How many the test needs, of the same kind.
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


def least_blocks(cases: int, level: float = LEVEL) -> int:
    """Paired blocks that a signed-rank test needs: the smallest p of N of them is 2^-N."""
    return max(LEAST_SAMPLES, math.ceil(math.log2(cases / level)))


def pair_test(
    pairs: Sequence[tuple[Sequence[float], Sequence[float]]], cases: int = 1, level: float = LEVEL
) -> TimeTest:
    """Blocks of two revisions, interleaved within each of several pairs of processes.

    The ratio is the median over pairs of each pair's median ratio of blocks; Wilcoxon's signed-rank test takes the
    blocks of all pairs. Processes that run the same code differ, and no number of blocks shows by how much: the
    interval, and a second test, are over pairs. The variance of their log ratios is moderated by what is known before,
    s^2 = (d0 s0^2 + sum (c_i - mean)^2) / (d0 + k - 1), with Student's t at d0 + k - 1 degrees of freedom (Smyth 2004,
    Statistical Applications in Genetics and Molecular Biology 3(1), 3): three pairs alone would have an interval that
    nothing leaves. A p-value is the larger of the two tests': blocks as well as processes must show the difference.

    Args:
        pairs: (base, new) seconds of a call by block, the same blocks on both sides, a tuple a pair of processes.
        cases: How many the comparison has.
        level: See LEVEL.

    Raises:
        ValueError: No pair, or one with blocks that have no partner.
    """
    logs = [np.log(np.asarray(new, float)) - np.log(np.asarray(base, float)) for base, new in pairs]
    centres = np.array([np.median(log) for log in logs])
    blocks, count = np.concatenate(logs), len(centres)
    degrees = PAIR_SPREAD_DEGREES + count - 1
    variance = (PAIR_SPREAD_DEGREES * PAIR_SPREAD**2 + ((centres - centres.mean()) ** 2).sum()) / degrees
    error = math.sqrt(variance / count)
    half = float(stdtrit(degrees, (1 + CONFIDENCE) / 2)) * error
    middle, needs = float(np.median(centres)), least_blocks(cases, level)
    short = f"{len(blocks)} blocks, the test needs {needs}" if len(blocks) < needs else ""
    if count < LEAST_PAIRS:
        short = f"{count} pairs of processes, a verdict needs {LEAST_PAIRS}"
    return TimeTest(
        base=float(np.median(np.concatenate([np.asarray(base, float) for base, _ in pairs]))),
        new=float(np.median(np.concatenate([np.asarray(new, float) for _, new in pairs]))),
        ratio=math.exp(middle),
        low=math.exp(middle - half),
        high=math.exp(middle + half),
        p_slower=max(_signed_rank(blocks, "greater"), float(stdtr(degrees, -middle / error))),
        p_faster=max(_signed_rank(blocks, "less"), float(stdtr(degrees, middle / error))),
        samples=len(blocks),
        needs=needs,
        short=short,
    )


def _signed_rank(values: np.ndarray, alternative: Literal["greater", "less"]) -> float:
    """The p-value of Wilcoxon's signed-rank test; 1 where no value differs from 0."""
    return float(wilcoxon(values, alternative=alternative).pvalue) if values.any() else 1.0


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
    given = zip(tests, thresholds, slower, faster, drifts or [0.0] * len(tests), strict=True)
    return [_judge(*each, level, advisory) for each in given]


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
