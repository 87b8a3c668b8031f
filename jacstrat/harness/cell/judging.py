"""How a stochastic strategy is judged: by repeated draws, and the standard error that it claims.

One draw says little: a right estimator may be far off, a wrong one near. So it is prepared and called many times, each
time with probes of its own, and is right where
1. the truth lies within the claimed standard error as often as the strategy's `claimed_rate` says, and
2. the mean over all draws is the truth, but for what the spread of the draws explains.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from jacstrat.core.operator import Operator
from jacstrat.problems.reference import Reference
from jacstrat.statistics import chance_of_share, student_within
from jacstrat.strategies.base import Args, Function, Strategy
from jacstrat.strategies.contraction import Estimate

# Draws are taken for DRAW_S seconds, within these bounds.
LEAST_DRAWS, MOST_DRAWS, DRAW_S = 40, 256, 0.25

# How unlikely a share of covered truths, and a mean, must be if the strategy is right, to be called wrong. For the mean
# by Student's t, whose tails are too light for draws as skewed as the square of a normal value: with 40 of these the
# chance of a false alarm is not 1e-9 but some 1e-4.
UNLIKELY_SHARE, UNLIKELY_MEAN = 1e-4, 1e-9


@dataclass(frozen=True)
class Drawn:
    """What repeated draws of a stochastic strategy show: columns of a record, and what is wrong.

    Fields:
        abs_error, rel_error, ulp_error: Root mean square over the draws, the largest over the batch.
        abs_error_median, rel_error_median, ulp_error_median: The same, the median over the batch.
        exact: Every draw gives the reference, rounded to the dtype.
        std_error: Median over the draws of the median over the batch of what is claimed; None where nothing is.
        coverage: Share of draws and points with the truth within the claimed standard error; None likewise.
        draws: How many.
        fault: Why the strategy is wrong, in one line; "" where it is right.
    """

    abs_error: float
    rel_error: float
    ulp_error: float
    abs_error_median: float
    rel_error_median: float
    ulp_error_median: float
    exact: bool
    std_error: float | None
    coverage: float | None
    draws: int
    fault: str

    @property
    def columns(self) -> dict[str, object]:
        """The fields that are columns of a record."""
        return {name: value for name, value in vars(self).items() if name != "fault"}


def judge(
    strategy: Strategy,
    operator: str | Operator,
    f: Function,
    x: Tensor,
    reference: Reference,
    tolerance: float,
    key: str,
    attend: Callable[[], object] = lambda: None,
    args: Args = (),
    clock: Callable[[], float] = time.perf_counter,
) -> Drawn:
    """Draw again and again, and compare with the reference.

    Args:
        strategy: A stochastic one. It is prepared anew for each draw, so that one with fixed probes draws, too.
        operator, f, x: As for `Strategy.prepare`.
        reference: The answer.
        tolerance: What rounding may add to an error, here or in the reference, relative to the size of the terms.
        key: Seeds the draws: the same key gives the same ones, though perhaps not as many.
        attend: Told before each draw, as a sign of life.
        args: Further arguments of f.
        clock: Seconds.
    """
    generator = torch.Generator().manual_seed(crc32(key.encode()))
    tally = _Tally.of(reference, operator, x, tolerance)
    begin = clock()
    with torch.no_grad():
        while tally.draws < LEAST_DRAWS or (tally.draws < MOST_DRAWS and clock() - begin < DRAW_S):
            attend()
            tally.add(strategy.prepare(operator, f, x, generator, args=args).estimate(x, *args))
    return tally.drawn(strategy.claimed_rate, points=max(x.shape[:-1].numel(), 1))


@dataclass
class _Tally:
    """Sums over draws: of all results of a large batch there is no room for more.

    Fields:
        truth: The reference rounded to the dtype: the best that a result can be.
        ulp: Distance from |truth| to the next larger number of the dtype.
        scale: The size of the terms.
        slack: What rounding may add to an error.
        squares: Sum of the squared errors.
        means: Mean error over the batch, by draw.
        covered: Sum over draws of the share of results within the claimed standard error.
        claims: Median claim over the batch, by draw.
    """

    truth: np.ndarray
    ulp: np.ndarray
    scale: np.ndarray
    slack: np.ndarray
    squares: np.ndarray
    means: list[float] = field(default_factory=list)
    covered: float = 0.0
    claims: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, reference: Reference, operator: str | Operator, x: Tensor, tolerance: float) -> _Tally:
        value, scale = reference.value(operator), reference.scale(operator)
        if np.iscomplexobj(value):
            # Real and imaginary part, each judged by itself.
            value = np.stack((value.real, value.imag), -1)
            scale = np.broadcast_to(scale[..., None], value.shape)
        best = torch.from_numpy(np.asarray(value, dtype=np.float64)).to(x.dtype)
        upward = torch.nextafter(best.abs(), torch.full_like(best, math.inf))
        truth = _wide(best)
        return cls(truth, _wide(upward) - np.abs(truth), scale, tolerance * scale, np.zeros_like(truth))

    @property
    def draws(self) -> int:
        return len(self.means)

    def add(self, estimate: Estimate) -> None:
        """Count one draw."""
        error = _wide(estimate.value) - self.truth
        self.squares += error**2
        self.means.append(float(error.mean()))
        if estimate.std_error is not None:
            claimed = _wide(estimate.std_error)
            self.covered += float((np.abs(error) <= claimed + self.slack).mean())
            self.claims.append(float(np.median(claimed)))

    def drawn(self, claimed_rate: float | None, points: int) -> Drawn:
        """What the draws show.

        Args:
            claimed_rate: Of the strategy.
            points: How many there are, each with probes of its own, so that draws and points are independent; the
                entries of a diagonal are not, and count as one.
        """
        rms = np.sqrt(self.squares / self.draws)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative, units = (np.where(rms == 0, 0, rms / unit) for unit in (self.scale, self.ulp))
        coverage = self.covered / self.draws if self.claims else None
        fault = (
            ("" if np.isfinite(rms).all() else "the result is not finite")
            or self._uncovered(coverage, claimed_rate, points)
            or self._biased()
        )
        return Drawn(
            abs_error=float(rms.max()),
            rel_error=float(relative.max()),
            ulp_error=float(units.max()),
            abs_error_median=float(np.median(rms)),
            rel_error_median=float(np.median(relative)),
            ulp_error_median=float(np.median(units)),
            exact=bool((rms == 0).all()),
            std_error=float(np.median(self.claims)) if self.claims else None,
            coverage=coverage,
            draws=self.draws,
            fault=fault,
        )

    def _uncovered(self, coverage: float | None, claimed_rate: float | None, points: int) -> str:
        if coverage is None or claimed_rate is None:
            return ""
        count = self.draws * points
        if chance_of_share(coverage, count, claimed_rate) >= UNLIKELY_SHARE:
            return ""
        return (
            f"the truth is within one standard error in {coverage:.1%} of {count} estimates, "
            f"at least {claimed_rate:.1%} are claimed"
        )

    def _biased(self) -> str:
        mean, spread = np.mean(self.means), np.std(self.means, ddof=1) / math.sqrt(self.draws)
        beyond = max(abs(mean) - self.slack.mean(), 0)
        t = beyond / spread if spread > 0 else math.inf if beyond > 0 else 0.0
        if 1 - student_within(float(t), self.draws - 1) >= UNLIKELY_MEAN:
            return ""
        off = f"{t:.3g} times what their spread explains" if t < math.inf else "and they do not spread"
        return f"the mean of {self.draws} draws is off by {mean:.2g}, {off}"


def _wide(tensor: Tensor) -> np.ndarray:
    """The numbers of a tensor, complex ones as two."""
    tensor = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return tensor.detach().to("cpu", torch.float64).numpy().astype(np.longdouble)
