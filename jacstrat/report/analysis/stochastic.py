"""What random probes give for their products: error at a budget, time to a given error, and the n from which they win.

Stochastic strategies are told from others by their `draws`. Strategies that differ in their number of probes alone are
one family, "hutch++" or "hutchinson:product=forward", measured at several budgets.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from jacstrat.record import Record
from jacstrat.report.analysis.answers import winners
from jacstrat.report.analysis.setting import Setting, Source, by_setting, to_records

TARGET = 1e-2
"""The relative error to reach, root mean square over draws, largest over the batch."""

_PROBES = re.compile(r"probes=\d+,?")


@dataclass(frozen=True)
class Budget:
    """A family at one budget.

    Fields:
        products: VJPs and JVPs of a call, per point.
        rel_error: Root mean square over draws, the largest over the batch.
        coverage: Share of draws within the claimed standard error; None where nothing is claimed.
        median_s: Time of a call, seconds.
    """

    products: int
    rel_error: float
    coverage: float | None
    median_s: float


@dataclass(frozen=True)
class Family:
    """A family at one n of a setting.

    Fields:
        setting, n, strategy: Which; the strategy is the spec without its probes.
        budgets: By products; never empty.
        reach_s: Seconds to the target error; None where it is not known.
        exact, exact_s: The fastest exact strategy of the same cell and its time; None where no such result is right.
    """

    setting: Setting
    n: int
    strategy: str
    budgets: tuple[Budget, ...]
    reach_s: float | None
    exact: str | None
    exact_s: float | None

    @property
    def over_exact(self) -> float | None:
        """Its time to the target error over the exact strategy's time; below 1 it wins."""
        return self.reach_s / self.exact_s if self.reach_s and self.exact_s else None


@dataclass(frozen=True)
class Crossover:
    """The n from which on a family reaches the target error before the fastest exact strategy is done.

    Fields:
        setting, strategy: Which family.
        n: The least n at which it wins and goes on winning at every larger n that was measured; None where it does not
            at the largest.
        largest: The family at the largest n.
    """

    setting: Setting
    strategy: str
    n: int | None
    largest: Family


def families(source: Source, target: float = TARGET) -> tuple[Family, ...]:
    """Every family at every n, of results that are right.

    Args:
        source: Records.
        target: The relative error that `reach_s` is for.
    """
    exact = {(winner.setting, winner.n): winner for winner in winners(source)}
    of_strategies = []
    for setting, group in by_setting(to_records(source)).items():
        lines: dict[tuple[str, int], list[Budget]] = {}
        for record in group:
            if (budget := _budget(record)) is not None:
                lines.setdefault((family(record.strategy), record.n), []).append(budget)
        for (strategy, n), budgets in lines.items():
            budgets.sort(key=lambda budget: budget.products)
            best = exact.get((setting, n))
            of_strategies.append(
                Family(
                    setting,
                    n,
                    strategy,
                    tuple(budgets),
                    time_to_reach(strategy, budgets, target),
                    best.strategy if best else None,
                    best.median_s if best else None,
                )
            )
    return tuple(of_strategies)


def family(spec: str) -> str:
    """A spec without its number of probes: "hutchinson:product=forward" of "hutchinson:probes=8,product=forward"."""
    return _PROBES.sub("", spec).rstrip(":,")


def _budget(record: Record) -> Budget | None:
    """What a record says of a budget; None where it is not of a stochastic strategy, or not right."""
    if record.status != "ok" or not record.draws or record.rel_error is None or not record.median_s:
        return None
    products = (record.vjp_products or 0) + (record.jvp_products or 0)
    return Budget(products, record.rel_error, record.coverage, record.median_s)


def time_to_reach(strategy: str, budgets: Sequence[Budget], target: float) -> float | None:
    """Seconds until the error is at the target.

    A budget whose error is within the target has reached it, in its time of a call. For `hutchinson` the error falls as
    1 / sqrt K in the number of probes K, so that (error / target)^2 as many probes reach it, in as many times the time
    of a call; that is an upper bound where a call has costs that do not grow with K. The others follow no such law:
    between two neighbouring budgets, one short of the target and one within it, the time is interpolated along a
    straight line in log error and log time. None where no budget reaches it.

    Args:
        strategy: The family.
        budgets: By products.
        target: Relative error.
    """
    times = [budget.median_s for budget in budgets if budget.rel_error <= target]
    if strategy.partition(":")[0] == "hutchinson":
        times += [b.median_s * (b.rel_error / target) ** 2 for b in budgets if target < b.rel_error < math.inf]
    else:
        pairs = [(short, within) for short, within in pairwise(budgets) if within.rel_error <= target < short.rel_error]
        times += [_interpolated(short, within, target) for short, within in pairs]
    return min(times, default=None)


def _interpolated(short: Budget, within: Budget, target: float) -> float:
    """The time at the target between two budgets; that of the second where its error is 0, which has no logarithm."""
    if within.rel_error == 0 or short.rel_error == math.inf:
        return within.median_s
    share = math.log(short.rel_error / target) / math.log(short.rel_error / within.rel_error)
    return short.median_s * (within.median_s / short.median_s) ** share


def crossovers(source: Source, target: float = TARGET) -> tuple[Crossover, ...]:
    """For each family of each setting, the n from which on it wins; arguments as of `families`."""
    lines: dict[tuple[Setting, str], list[Family]] = {}
    for family in families(source, target):
        lines.setdefault((family.setting, family.strategy), []).append(family)
    result = []
    for (setting, strategy), line in lines.items():
        line.sort(key=lambda family: family.n)
        first = None
        for family in reversed(line):
            if family.over_exact is None or family.over_exact >= 1:
                break
            first = family.n
        result.append(Crossover(setting, strategy, first, line[-1]))
    return tuple(result)
