"""The time of two revisions that were interleaved over several pairs of processes.

A case is SLOWER where the interval of its ratio lies above 1 + threshold, FASTER where it lies below
1 / (1 + threshold), and SAME where it lies within half the threshold on either side, so that a change of more than half
the threshold is not passed over. All else is AMBIGUOUS. SLOWER and FASTER also pass Holm's correction over the cases.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from jacstrat.compare.time import LEVEL, holm
from jacstrat.compare.verdict import Finding, Gate, Verdict
from jacstrat.statistics import CONFIDENCE

LEAST_PAIRS = 3
# From here on an interval that lies between 1 and the threshold is taken for what it says.
SETTLED_PAIRS = 6
# Log ratios of two processes that run the same code: their standard deviation is 1.3 to 2.8 % a pair where little else
# runs, and how many pairs that knowledge is worth. Where the cases of a comparison spread more, theirs takes its place.
SPREAD, SPREAD_DEGREES, SPREAD_CASES = 0.02, 4, 5
# The median of k normal values varies by pi/2 as much as their mean, a little less for small k.
MEDIAN = math.sqrt(math.pi / 2)

Pair = tuple[Sequence[float], Sequence[float]]
"""Seconds of a call in base and in new, by block; the blocks were taken in turn."""


@dataclass(frozen=True)
class Centre:
    """A case over pairs of processes.

    Fields:
        base_s, new_s: Median of all blocks.
        gap: Median over pairs of the log of new over base, itself the median over the blocks of the pair.
        error: Standard error of the gap.
        half: Half its 95 % interval.
        degrees: Of Student's t.
        pairs: Of processes.
    """

    base_s: float
    new_s: float
    gap: float
    error: float
    half: float
    degrees: int
    pairs: int

    def chance_below(self, effect: float) -> float:
        """The p-value of the gap being no more than an effect, one-sided."""
        return float(stdtr(self.degrees, (effect - self.gap) / self.error))


def centres(cases: Sequence[Sequence[Pair]]) -> list[Centre]:
    """What each case comes to.

    Blocks within a pair say nothing of how far its two processes differ by themselves, so the interval is over pairs.
    Three pairs alone would have one that nothing leaves; their variance is moderated by what is known beforehand,
    s^2 = (d0 s0^2 + sum (c_i - mean)^2) / (d0 + k - 1) with d0 + k - 1 degrees of freedom (Smyth 2004, Statistical
    Applications in Genetics and Molecular Biology 3(1), 3), where s0 is SPREAD, or the median over the cases of this
    comparison where that is larger and they are SPREAD_CASES or more.

    Args:
        cases: Pairs of processes by case, at least one each.

    Raises:
        ValueError: A pair has another number of blocks on either side, or none.
    """
    gaps = [np.array([_gap(*pair) for pair in pairs]) for pairs in cases]
    seen = [float(gap.var(ddof=1)) for gap in gaps if len(gap) >= LEAST_PAIRS]
    known = max(SPREAD**2, float(np.median(seen)) if len(seen) >= SPREAD_CASES else 0.0)
    centred = []
    for pairs, gap in zip(cases, gaps, strict=True):
        count = len(gap)
        degrees = SPREAD_DEGREES + count - 1
        variance = (SPREAD_DEGREES * known + float(((gap - gap.mean()) ** 2).sum())) / degrees
        error = MEDIAN * math.sqrt(variance / count)
        half = float(stdtrit(degrees, (1 + CONFIDENCE) / 2)) * error
        base_s, new_s = (float(np.median(np.concatenate(side))) for side in zip(*pairs, strict=True))
        centred.append(Centre(base_s, new_s, float(np.median(gap)), error, half, degrees, count))
    return centred


def _gap(base: Sequence[float], new: Sequence[float]) -> float:
    if len(base) != len(new) or not base:
        raise ValueError(f"blocks of a pair come in twos, got {len(base)} and {len(new)}")
    return float(np.median(np.log(np.asarray(new, float)) - np.log(np.asarray(base, float))))


def judge_pairs(
    cases: Mapping[str, Sequence[Pair]], thresholds: Mapping[str, float], level: float = LEVEL
) -> dict[str, Finding]:
    """A verdict on the time of each case.

    Args:
        cases: Pairs of processes by case, at least one each.
        thresholds: By case, the effect that matters: 0.05 is 5 %.
        level: Chance that any case is called SLOWER, and that any is called FASTER, that is at its threshold.
    """
    centre_of = centres(list(cases.values()))
    effects = [math.log1p(thresholds[case]) for case in cases]
    slower = holm([centre.chance_below(effect) for centre, effect in zip(centre_of, effects, strict=True)])
    faster = holm([1 - centre.chance_below(-effect) for centre, effect in zip(centre_of, effects, strict=True)])
    both = zip(cases, centre_of, effects, slower <= level, faster <= level, strict=True)
    return {case: _finding(centre, effect, bool(up), bool(down)) for case, centre, effect, up, down in both}


def undecided(cases: Mapping[str, Sequence[Pair]], thresholds: Mapping[str, float], level: float = LEVEL) -> set[str]:
    """The cases that further pairs of processes may decide; arguments as for `judge_pairs`."""
    findings = judge_pairs(cases, thresholds, level) if cases else {}
    return {
        case
        for case, finding in findings.items()
        if finding.verdict is Verdict.AMBIGUOUS
        and not (len(cases[case]) >= SETTLED_PAIRS and _is_within(finding, thresholds[case]))
    }


def _is_within(finding: Finding, threshold: float) -> bool:
    """Whether the interval lies on one side of 1, and within the threshold."""
    low, high = finding.low or 0.0, finding.high or math.inf
    return 1 < low <= high <= 1 + threshold or 1 / (1 + threshold) <= low <= high < 1


def _finding(centre: Centre, effect: float, significantly_up: bool, significantly_down: bool) -> Finding:
    low, high = centre.gap - centre.half, centre.gap + centre.half
    said = f"time {_percent(centre.gap)} ({_percent(low)} to {_percent(high)}, {centre.pairs} pairs of processes)"
    verdict = Verdict.AMBIGUOUS
    if centre.pairs < LEAST_PAIRS:
        said += f": a verdict needs {LEAST_PAIRS} pairs; give a longer --time-limit"
    elif low > effect and significantly_up:
        verdict = Verdict.SLOWER
    elif high < -effect and significantly_down:
        verdict = Verdict.FASTER
    elif -effect / 2 <= low and high <= effect / 2:
        verdict = Verdict.SAME
    elif low > 0 and high <= effect:
        said += ": slower, by less than the threshold"
    elif -effect <= low and high < 0:
        said += ": faster, by less than the threshold"
    return Finding(
        gate=Gate.TIME,
        verdict=verdict,
        measure="median_s",
        base=centre.base_s,
        new=centre.new_s,
        ratio=math.exp(centre.gap),
        low=math.exp(low),
        high=math.exp(high),
        reason=said,
        regression=verdict is Verdict.SLOWER,
    )


def _percent(gap: float) -> str:
    return f"{math.expm1(gap):+.1%}"
