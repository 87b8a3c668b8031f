"""The n at which one strategy takes over from another as the fastest right one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from jacstrat.record import Record
from jacstrat.report.analysis.answers import winner_ranges
from jacstrat.report.analysis.setting import Setting, Source, by_setting, to_records


@dataclass(frozen=True)
class Crossing:
    """A change of the fastest strategy between two neighbouring n's.

    Fields:
        setting, before, after: Where, which one is fastest up to n_low, and which from n_high on.
        n_low, n_high: The neighbours, both measured: what is known of the crossover without a model.
        n: Where straight lines between them, in log time over log n, meet; None where one of the four times is missing
            or the lines do not meet, as between strategies that are level at one of the two.
    """

    setting: Setting
    before: str
    after: str
    n_low: int
    n_high: int
    n: float | None

    @property
    def drawn_at(self) -> float:
        """The n at which to show it: `n`, or else the middle of the neighbours on a logarithmic axis."""
        return self.n if self.n is not None else math.sqrt(self.n_low * self.n_high)

    @property
    def words(self) -> str:
        """Such as "vmap from n ≈ 12 (8–16)"; without a fit "vmap from n = 8–16"."""
        measured = f"{self.n_low}–{self.n_high}"
        return f"{self.after} from {self.setting.size} " + (
            f"= {measured}" if self.n is None else f"≈ {self.n:.3g} ({measured})"
        )


def crossings(source: Source) -> tuple[Crossing, ...]:
    """Every change of the fastest right strategy, by setting and n; strategies that are level count as one."""
    records = to_records(source)
    times = {setting: _times(group) for setting, group in by_setting(records).items()}
    crossed = []
    for before, after in pairwise(winner_ranges(records)):
        if before.setting == after.setting and before.strategy and after.strategy:
            at = times[before.setting]
            low, high = before.n_high, after.n_low
            n = _meet(low, high, *(at.get((s, n)) for s in (before.strategy, after.strategy) for n in (low, high)))
            crossed.append(Crossing(before.setting, before.strategy, after.strategy, low, high, n))
    return tuple(crossed)


def _times(group: list[Record]) -> dict[tuple[str, int], float]:
    return {(r.strategy, r.n): r.median_s for r in group if r.status == "ok" and r.median_s}


def _meet(
    low: int, high: int, a_low: float | None, a_high: float | None, b_low: float | None, b_high: float | None
) -> float | None:
    """Where log a - log b, linear in log n, is 0: at the share d_low / (d_low - d_high) of the way."""
    if not (low > 0 and a_low and a_high and b_low and b_high):
        return None
    d_low, d_high = math.log(a_low / b_low), math.log(a_high / b_high)
    if not d_low <= 0 <= d_high or d_low == d_high:
        return None
    return low * (high / low) ** (d_low / (d_low - d_high))
