"""The picture of stochastic strategies: error against products."""

from __future__ import annotations

from collections.abc import Sequence

from jacstrat.records import Record
from jacstrat.report.picture import ERROR, Picture, Reference
from jacstrat.report.series import Point, Series
from jacstrat.report.setting import Setting
from jacstrat.report.stochastic import TARGET, Family, families
from jacstrat.report.units import shortened


def budget_picture(setting: Setting, records: Sequence[Record], title: str) -> Picture | None:
    """Relative error of the stochastic strategies against products, at the largest n that has any."""
    found = families(records)
    if not found:
        return None
    n = max(family.n for family in found)
    shown = [family for family in found if family.n == n]
    budgets = tuple(sorted({budget.products for family in shown for budget in family.budgets}))
    lines = sorted(shown, key=lambda family: -family.budgets[-1].rel_error)
    series = tuple(Series(family.strategy, budgets, _points(family), "") for family in lines)
    reached = [(b.products, family.strategy) for family in shown for b in family.budgets if b.rel_error <= TARGET]
    answer = f"No budget reaches a relative error of {TARGET:g}"
    if reached:
        products, strategy = min(reached)
        answer = f"Fewest products within a relative error of {TARGET:g}: {products}, {shortened(strategy)}"
    alone = f": {budgets[0]}; strategies in the order of the legend" if len(budgets) == 1 else ""
    return Picture(
        "budget",
        setting,
        f"{title}, n = {n}",
        answer,
        f"products a point{alone}",
        "relative error",
        ERROR,
        series,
        references=(Reference(f"{TARGET:g}", lambda products: TARGET),),
        errors=True,
        epsilon=TARGET,
    )


def _points(family: Family) -> tuple[Point, ...]:
    """The budgets of a family as points, their products in the place of n."""
    return tuple(Point(budget.products, budget.rel_error, None, None, wrong=False) for budget in family.budgets)
