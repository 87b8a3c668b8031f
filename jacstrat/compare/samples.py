"""Samples of two runs that were not taken side by side: rank-sum tests of all cases at once, and what drifted.

What is compared are cost ratios, the operator's time over that of f in the same round, where a run has its rounds:
between runs they move by 1.2 to 1.4 times where seconds move by 1.5 to 1.9 (docs/measuring.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr
from scipy.stats import rankdata

from jacstrat.compare.time import LEAST_SAMPLES, LEVEL, TimeTest
from jacstrat.statistics import median_interval

DRIFT_SIGMAS = 5.0
"""Robust standard deviations of the other cases' log ratios beyond which a case stands out."""
LEAST_OTHERS = 8
# Makes the median absolute deviation of a normal distribution its standard deviation.
MAD_TO_SIGMA = 1.4826


def least_samples(cases: int, level: float = LEVEL) -> int:
    """Samples on either side that a rank-sum test needs to reject at all among so many cases.

    The smallest p of N samples a side is 1 / C(2 N, N), and Holm asks the first for level / cases.
    """
    count = LEAST_SAMPLES
    while math.comb(2 * count, count) < cases / level:
        count += 1
    return count


def cost_ratios(samples: Mapping[str, Mapping[str, Any]], cases: Mapping[str, str]) -> dict[str, list[float]]:
    """The samples of each case over those of f in the same rounds; of cases that have both in one session.

    Args:
        samples: By case, as in samples.jsonl.
        cases: The case of f by the case of a strategy.
    """
    ratios = {}
    rounds_of_f: dict[str, dict[int, float]] = {}
    for case, f in cases.items():
        its_samples, beside = samples.get(case), samples.get(f)
        if not its_samples or not beside or not {"rounds", "seconds", "session"} <= its_samples.keys() & beside.keys():
            continue
        if its_samples["session"] != beside["session"]:
            continue
        if f not in rounds_of_f:
            rounds_of_f[f] = dict(zip(beside["rounds"], beside["seconds"], strict=True))
        rounds = rounds_of_f[f]
        both = [
            s / rounds[r] for r, s in zip(its_samples["rounds"], its_samples["seconds"], strict=True) if r in rounds
        ]
        if both:
            ratios[case] = both
    return ratios


def rank_sum_tests(
    base: Sequence[Sequence[float]], new: Sequence[Sequence[float]], measure: str, level: float = LEVEL
) -> list[TimeTest]:
    """Mann and Whitney's test for each case, by the normal approximation with correction for continuity.

    The interval of the ratio is that of one median's interval over the other's, wider than 95 % for what it encloses.

    Args:
        base, new: Samples by case, at least one each, all above 0.
        measure: What they are of.
        level: See `compare.time.LEVEL`.
    """
    if not base:
        return []
    before, after = _padded(base), _padded(new)
    m, n = np.array([len(s) for s in base]), np.array([len(s) for s in new])
    ranks = rankdata(np.concatenate([before, after], axis=1), axis=1, nan_policy="omit")
    # Pairs in which NEW is the larger, ties as a half, and its mean and deviation where nothing differs.
    larger = np.nansum(ranks[:, before.shape[1] :], axis=1) - n * (n + 1) / 2
    mean, deviation = m * n / 2, np.sqrt(m * n * (m + n + 1) / 12)
    p_slower, p_faster = ndtr((mean - larger + 0.5) / deviation), ndtr((larger - mean + 0.5) / deviation)
    needs = least_samples(len(base), level)
    return [
        _test(b, a, middles, p_values, needs, measure)
        for b, a, middles, p_values in zip(
            base,
            new,
            zip(np.nanmedian(before, axis=1), np.nanmedian(after, axis=1), strict=True),
            zip(p_slower, p_faster, strict=True),
            strict=True,
        )
    ]


def _padded(samples: Sequence[Sequence[float]]) -> np.ndarray:
    """A row a case, filled up with NaN."""
    table = np.full((len(samples), max(map(len, samples))), np.nan)
    for row, values in zip(table, samples, strict=True):
        row[: len(values)] = values
    return table


def _test(
    base: Sequence[float],
    new: Sequence[float],
    medians: tuple[float, float],
    p_values: tuple[float, float],
    needs: int,
    measure: str,
) -> TimeTest:
    before, after = map(float, medians)
    low, high = None, None
    if (outer := median_interval(base)) and (inner := median_interval(new)):
        low, high = inner[0] / outer[1], inner[1] / outer[0]
    fewest = min(len(base), len(new))
    return TimeTest(
        base=before,
        new=after,
        ratio=after / before,
        low=low,
        high=high,
        p_slower=float(p_values[0]),
        p_faster=float(p_values[1]),
        samples=fewest,
        needs=needs,
        short=f"{fewest} samples, the test needs {needs} on either side" if fewest < needs else "",
        measure=measure,
    )


def drifts(ratios: Sequence[float], f_ratios: Sequence[float]) -> list[float]:
    """How far the log ratio of each case may be from 0 without any change of its own.

    Beyond the median of all cases by DRIFT_SIGMAS of their robust deviation, and beyond what f itself moved by on the
    same cell; infinite with fewer than LEAST_OTHERS others. One case that changed moves neither median nor deviation.

    Args:
        ratios: NEW over BASE of each case.
        f_ratios: NEW over BASE of f on the cell of each case; NaN where it is not known.
    """
    if len(ratios) <= LEAST_OTHERS:
        return [math.inf] * len(ratios)
    logs = np.log(np.asarray(ratios, float))
    middle = float(np.median(logs))
    deviation = MAD_TO_SIGMA * float(np.median(np.abs(logs - middle)))
    drift_of_f = np.nan_to_num(np.abs(np.log(np.asarray(f_ratios, float))), nan=0.0)
    return [float(drift) for drift in np.maximum(abs(middle) + DRIFT_SIGMAS * deviation, drift_of_f)]
