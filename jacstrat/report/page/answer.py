"""The answer of a run as one table: who is fastest where and by how much, and who is wrong there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from jacstrat.record import Record
from jacstrat.report.analysis.answers import WinnerRange
from jacstrat.report.analysis.setting import Setting, by_setting, varying
from jacstrat.report.analysis.sheet import Sheet, SheetColumn, sheet_of
from jacstrat.report.analysis.tables import over_next
from jacstrat.report.analysis.units import format_factor, format_range, format_ratio, format_seconds


def answer_sheet(records: Sequence[Record], ranges: Sequence[WinnerRange]) -> Sheet:
    """A row for each range of n with one winner; the next and the slowest one by name, as multiples of its time.

    Args:
        records: Those of a run.
        ranges: Their `winner_ranges`.
    """
    differing = varying(one.setting for one in ranges)
    settings = by_setting(records)
    columns = [
        SheetColumn("problem"),
        SheetColumn("case"),
        SheetColumn("n", numeric=True),
        SheetColumn("fastest"),
        SheetColumn("time", numeric=True),
        SheetColumn("cost ratio", numeric=True),
        SheetColumn("best FLOPs", numeric=True),
        SheetColumn("floor", numeric=True),
        SheetColumn("next", prose=True),
        SheetColumn("slowest", prose=True),
        SheetColumn("wrong", prose=True),
    ]
    rows = [
        [
            winner_range.setting.name,
            winner_range.setting.words(differing, brief=True),
            format_range(str(winner_range.n_low), str(winner_range.n_high)),
            winner_range.strategy or "no right result",
            _extent([winner.median_s for winner in winner_range.winners], format_seconds),
            _extent([winner.cost_ratio for winner in winner_range.winners], format_ratio),
            _extent([winner.over_best_flops for winner in winner_range.winners], format_factor),
            _extent([winner.over_floor for winner in winner_range.winners], format_factor),
            _others(over_next(winner_range.winners), [winner.runner_up for winner in winner_range.winners]),
            _others(
                _extent([winner.over_slowest for winner in winner_range.winners], format_factor),
                [winner.slowest for winner in winner_range.winners],
            ),
            _wrong(winner_range, settings),
        ]
        for winner_range in ranges
    ]
    styles = ["" if winner_range.strategy else "yellow" for winner_range in ranges]
    title = "The fastest right strategy; the next and the slowest as multiples of its time; and who is wrong there"
    return sheet_of(title, columns, rows, styles)


def _extent(values: Sequence[float | None], show: Callable[[float], str]) -> str:
    known = [value for value in values if value is not None]
    return format_range(show(min(known)), show(max(known))) if known else ""


def _others(multiples: str, ordered: Sequence[str | None]) -> str:
    """Their multiples, then their names in the order of n, each once."""
    names = [name for name in dict.fromkeys(ordered) if name]
    several = ", ".join(names[:2]) + (", ..." if len(names) > 2 else "")
    return f"{multiples} {several}".strip()


def _wrong(winner_range: WinnerRange, settings: dict[Setting, list[Record]]) -> str:
    """Who is wrong in the range, the worst first."""
    worst: dict[str, float] = {}
    for record in settings[winner_range.setting]:
        if winner_range.n_low <= record.n <= winner_range.n_high and record.status == "wrong":
            error = math.inf if record.rel_error is None else record.rel_error
            worst[record.strategy] = max(worst.get(record.strategy, 0.0), error)
    return ", ".join(sorted(worst, key=lambda strategy: (-worst[strategy], strategy)))
