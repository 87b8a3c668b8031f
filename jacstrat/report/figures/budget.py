"""The pictures of stochastic strategies: error, and time, against products."""

from __future__ import annotations

from collections.abc import Sequence

from jacstrat.record import Record
from jacstrat.report.analysis.setting import Setting
from jacstrat.report.analysis.stochastic import TARGET, Family, families
from jacstrat.report.analysis.units import shortened
from jacstrat.report.figures.picture import ERROR, TIME, GuideLine, Picture
from jacstrat.report.figures.series import Curve, CurvePoint

BUDGET, PRODUCTS = "budget", "products"


def budget_picture(setting: Setting, records: Sequence[Record], title: str) -> Picture | None:
    """Relative error of the stochastic strategies against products, at the largest n that has any."""
    shown, n, budgets = _largest(records)
    if not shown:
        return None
    lines = sorted(shown, key=lambda family: -family.budgets[-1].rel_error)
    series = tuple(Curve(family.strategy, budgets, _points(family), "") for family in lines)
    reached = [(b.products, family.strategy) for family in shown for b in family.budgets if b.rel_error <= TARGET]
    answer = f"No budget reaches a relative error of {TARGET:g}"
    if reached:
        products, strategy = min(reached)
        answer = f"Fewest products within a relative error of {TARGET:g}: {products}, {shortened(strategy)}"
    return Picture(
        BUDGET,
        setting,
        f"{title}, n = {n}",
        answer,
        _products(budgets),
        "relative error",
        ERROR,
        series,
        references=(GuideLine(f"{TARGET:g}", lambda products: TARGET),),
        errors=True,
        epsilon=TARGET,
    )


def products_picture(setting: Setting, records: Sequence[Record], title: str) -> Picture | None:
    """Time of a call of the stochastic strategies against products, at the same n, beside the fastest exact one."""
    shown, n, budgets = _largest(records)
    if not shown:
        return None
    lines = sorted(shown, key=lambda family: -family.budgets[-1].median_s)
    series = tuple(
        Curve(
            f.strategy,
            budgets,
            tuple(CurvePoint(b.products, b.median_s, None, None, wrong=False) for b in f.budgets),
            "",
        )
        for f in lines
    )
    exact, exact_s = shown[0].exact, shown[0].exact_s
    answer = "No exact result is right."
    references: tuple[GuideLine, ...] = ()
    if exact is not None and exact_s is not None:
        below = [(b.products, f.strategy) for f in shown for b in f.budgets if b.median_s <= exact_s]
        answer = f"Every budget takes longer than {shortened(exact)}, which is exact"
        if below:
            products, strategy = max(below)
            answer = (
                f"Most products in the time of {shortened(exact)}, which is exact: {products}, {shortened(strategy)}"
            )
        references = (GuideLine(shortened(exact), lambda products: exact_s),)
    return Picture(
        PRODUCTS,
        setting,
        f"{title}, n = {n}",
        answer,
        _products(budgets),
        "time of one call",
        TIME,
        series,
        references=references,
    )


def _largest(records: Sequence[Record]) -> tuple[list[Family], int, tuple[int, ...]]:
    """The families at the largest n that has any, that n, and all their products; ([], 0, ()) where there is none."""
    all_families = families(records)
    n = max((family.n for family in all_families), default=0)
    shown = [family for family in all_families if family.n == n]
    return shown, n, tuple(sorted({budget.products for family in shown for budget in family.budgets}))


def _products(budgets: Sequence[int]) -> str:
    alone = f": {budgets[0]}; strategies in the order of the legend" if len(budgets) == 1 else ""
    return f"products a point{alone}"


def _points(family: Family) -> tuple[CurvePoint, ...]:
    """The budgets of a family as points, their products in the place of n."""
    return tuple(CurvePoint(budget.products, budget.rel_error, None, None, wrong=False) for budget in family.budgets)
