"""The pictures of a network's distance to the best-known cost, in FLOPs and in time."""

from __future__ import annotations

from collections.abc import Sequence

from jacstrat.record import Record
from jacstrat.report.analysis.answers import over_best_flops
from jacstrat.report.analysis.setting import Setting
from jacstrat.report.analysis.units import format_factor, shortened
from jacstrat.report.figures.overn import NOTHING_RIGHT, N
from jacstrat.report.figures.picture import RATIO, GuideLine, Picture
from jacstrat.report.figures.series import Curve, series_of


def floor_picture(setting: Setting, records: Sequence[Record], title: str) -> Picture | None:
    """Time over that of the bare matrix products of the best-known algorithm, against n, with its 95 % interval."""
    series = series_of(records, "over_floor", "over_floor_low", "over_floor_high")
    return _picture("floor", "time of one call / time of its best-known products", setting, title, series)


def best_flops_picture(setting: Setting, records: Sequence[Record], title: str) -> Picture | None:
    """Counted FLOPs over those of the best-known algorithm, against n."""
    return _picture("best-flops", "FLOPs / best-known FLOPs", setting, title, series_of(records, over_best_flops))


def _picture(name: str, ylabel: str, setting: Setting, title: str, series: tuple[Curve, ...]) -> Picture | None:
    if not series:
        return None
    right = [(-point.n, point.value, line.strategy) for line in series for point in line.points if not point.wrong]
    answer = NOTHING_RIGHT
    if right:
        n, value, strategy = min(right)
        answer = f"Nearest at n = {-n:g}: {shortened(strategy)}, {format_factor(value)} the best-known cost"
    best = GuideLine("best known", lambda n: 1.0)
    return Picture(name, setting, title, answer, N, ylabel, RATIO, series, references=(best,))
