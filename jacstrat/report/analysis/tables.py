"""The answers and the records as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from jacstrat.report.analysis.answers import (
    Growth,
    Unmeasured,
    Winner,
    WinnerRange,
    failures,
    growths,
    unsupported,
    winner_ranges,
    winners,
    wrong,
)
from jacstrat.report.analysis.payback import paybacks
from jacstrat.report.analysis.setting import Setting, Source, quantity, varying
from jacstrat.report.analysis.sheet import ROW_STYLES, Sheet, SheetColumn, sheet_of
from jacstrat.report.analysis.stochastic import TARGET, crossovers
from jacstrat.report.analysis.units import (
    format_error,
    format_factor,
    format_range,
    format_ratio,
    format_seconds,
    format_spans,
)


def _extent(values: Sequence[float | None], show: Callable[[float], str]) -> str:
    known = [value for value in values if value is not None]
    return format_range(show(min(known)), show(max(known))) if known else ""


def over_next(several: Sequence[Winner]) -> str:
    """The next ones' multiples of the winners' times, "level" where the two cannot be told apart: "level–3.22×"."""
    multiples = _extent([winner.over_next for winner in several], format_factor)
    if not any(winner.runner_up in winner.level for winner in several):
        return multiples
    return f"level–{multiples.rpartition('–')[2]}" if multiples else "level"


def winners_table(source: Source, ranges: Sequence[WinnerRange] | None = None) -> Sheet:
    """The fastest strategy over n, by problem and operator; neighbouring n's with the same winner share a row.

    Args:
        source: Records.
        ranges: Their `winner_ranges`, where they are at hand.
    """
    ranges = winner_ranges(source) if ranges is None else ranges
    differing = varying(each.setting for each in ranges)
    columns = [
        SheetColumn("problem"),
        SheetColumn("case"),
        SheetColumn("n", numeric=True),
        SheetColumn("fastest"),
        SheetColumn("time", numeric=True, rank=2),
        SheetColumn("cost ratio", numeric=True, rank=4),
        SheetColumn("next", numeric=True, rank=3),
        SheetColumn("slowest", numeric=True, rank=5),
        SheetColumn("best FLOPs", numeric=True, rank=7),
        SheetColumn("floor", numeric=True, rank=6),
        SheetColumn("light", numeric=True, rank=8),
    ]
    rows, styles = [], []
    for each in ranges:
        rows.append(
            [
                each.setting.name,
                each.setting.words(differing, brief=True),
                format_range(str(each.n_low), str(each.n_high)),
                each.strategy or "no right result",
                _extent([winner.median_s for winner in each.winners], format_seconds),
                _extent([winner.cost_ratio for winner in each.winners], format_ratio),
                over_next(each.winners),
                _extent([winner.over_slowest for winner in each.winners], format_factor),
                _extent([winner.over_best_flops for winner in each.winners], format_factor),
                _extent([winner.over_floor for winner in each.winners], format_factor),
                _extent([winner.over_light for winner in each.winners], format_factor),
            ]
        )
        styles.append("" if each.strategy else "yellow")
    title = "Fastest right strategy; next and slowest as multiples of its time"
    if any(winner.over_floor is not None for each in ranges for winner in each.winners):
        title += ", itself as a multiple of a network's best-known FLOPs and of their floor in time"
    if any(winner.over_light is not None for each in ranges for winner in each.winners):
        title += ", and of their time at the device's measured rates, its light"
    return sheet_of(title, columns, rows, styles)


def wrong_table(source: Source) -> Sheet:
    """Where strategies were wrong."""
    columns = [
        SheetColumn("problem"),
        SheetColumn("strategy"),
        SheetColumn("n", numeric=True),
        SheetColumn("relative error", numeric=True, rank=1),
        SheetColumn("wrong cases", numeric=True, rank=2),
    ]
    rows = [
        [
            quantity(mistake.operator, mistake.problem),
            mistake.strategy,
            format_spans(mistake.ns),
            _extent([mistake.rel_error_low, mistake.rel_error_high], format_error),
            f"{mistake.cases} of {mistake.judged}",
        ]
        for mistake in wrong(source)
    ]
    return sheet_of("Wrong results", columns, rows, [ROW_STYLES["wrong"]] * len(rows))


def stochastic_table(source: Source) -> Sheet:
    """What each family of stochastic strategies gives for its products, at its largest n."""
    families = crossovers(source)
    differing = varying(crossover.setting for crossover in families)
    columns = [
        SheetColumn("problem"),
        SheetColumn("case"),
        SheetColumn("strategy"),
        SheetColumn("n", numeric=True),
        SheetColumn("products", numeric=True, rank=3),
        SheetColumn("error", numeric=True, rank=2),
        SheetColumn("coverage", numeric=True, rank=5),
        SheetColumn(f"time to {TARGET:g}", numeric=True, rank=4),
        SheetColumn("over exact", numeric=True),
        SheetColumn("wins from n", numeric=True, rank=1),
    ]
    rows = []
    for crossover in families:
        largest = crossover.largest
        first, last = largest.budgets[0], largest.budgets[-1]
        rows.append(
            [
                crossover.setting.name,
                crossover.setting.words(differing, brief=True),
                crossover.strategy,
                str(largest.n),
                format_range(str(first.products), str(last.products)),
                format_range(format_error(first.rel_error), format_error(last.rel_error)),
                _extent([budget.coverage for budget in largest.budgets], "{:.0%}".format),
                format_seconds(largest.reach_s) or "not known",
                format_factor(largest.over_exact),
                "" if crossover.n is None else str(crossover.n),
            ]
        )
    title = f"Stochastic strategies, least to most products; over exact: time to relative error {TARGET:g}"
    return sheet_of(title, columns, rows)


def failures_table(source: Source) -> Sheet:
    """What was skipped or did not come to its end, with reasons."""
    return _unmeasured("Failed and skipped", failures(source))


def unsupported_table(source: Source) -> Sheet:
    """What strategies cannot do, with reasons."""
    return _unmeasured("Unsupported", unsupported(source))


def _unmeasured(title: str, unmeasured: Sequence[Unmeasured]) -> Sheet:
    columns = [
        SheetColumn("problem"),
        SheetColumn("strategy"),
        SheetColumn("n"),
        SheetColumn("status", rank=1),
        SheetColumn("reason", prose=True),
    ]
    rows = [[quantity(f.operator, f.problem), f.strategy, format_spans(f.ns), f.status, f.reason] for f in unmeasured]
    return replace(sheet_of(title, columns, rows), is_unmeasured=True)


def growth_table(source: Source, fastest_only: bool = False) -> Sheet:
    """How time and error grow with n.

    Args:
        source: Records.
        fastest_only: Leave out all but the fastest right strategy at the largest n of each setting.
    """
    fits: dict[tuple[Setting, str], dict[str, Growth]] = {}
    for column in ("median_s", "rel_error"):
        for growth in growths(source, column):
            fits.setdefault((growth.setting, growth.strategy), {})[column] = growth
    if fastest_only:
        fastest = {(winner.setting, winner.strategy) for winner in {w.setting: w for w in winners(source)}.values()}
        fits = {line: fit for line, fit in fits.items() if line in fastest}
    differing = varying(setting for setting, _ in fits)
    columns = [
        SheetColumn("problem"),
        SheetColumn("case"),
        SheetColumn("strategy"),
        SheetColumn("time", numeric=True),
        SheetColumn("n", numeric=True, rank=2),
        SheetColumn("error", numeric=True),
        SheetColumn("n of the error", numeric=True, rank=3),
    ]
    rows = [
        [setting.name, setting.words(differing), strategy, *_fit(fit.get("median_s")), *_fit(fit.get("rel_error"))]
        for (setting, strategy), fit in fits.items()
    ]
    whose = "Growth of the fastest" if fastest_only else "Growth"
    title = f"{whose}: n to this power, fitted over the larger half of n, ± standard error"
    return sheet_of(title, columns, rows)


def _fit(growth: Growth | None) -> tuple[str, str]:
    """An exponent, and the range of n it was fitted over."""
    if growth is None:
        return "", ""
    return f"{growth.exponent:.2f} ± {growth.std_error:.2f}", format_range(str(growth.n_low), str(growth.n_high))


def paybacks_table(source: Source) -> Sheet:
    """After how many calls a strategy that is slow to prepare has paid for itself."""
    repaid = paybacks(source)
    differing = varying(one.setting for one in repaid)
    columns = [
        SheetColumn("problem"),
        SheetColumn("case"),
        SheetColumn("n", numeric=True),
        SheetColumn("strategy"),
        SheetColumn("pays after", numeric=True),
        SheetColumn("over", rank=1),
        SheetColumn("more to prepare", numeric=True, rank=3),
        SheetColumn("less a call", numeric=True, rank=2),
    ]
    rows = [
        [
            one.setting.name,
            one.setting.words(differing, brief=True),
            str(one.n),
            one.strategy,
            f"{one.calls} call{'s' * (one.calls != 1)}",
            one.other,
            format_seconds(one.extra_s),
            format_seconds(one.saved_s),
        ]
        for one in repaid
    ]
    return sheet_of(
        "When preparation pays: calls after which the fastest has taken less time than the next", columns, rows
    )
