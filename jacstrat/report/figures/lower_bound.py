"""The pictures of a network's distance to the best-known cost, in FLOPs and in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jacstrat.record import Record
from jacstrat.report.analysis.answers import over_best_flops
from jacstrat.report.analysis.setting import Setting
from jacstrat.report.analysis.units import format_factor, shortened
from jacstrat.report.figures.overn import NOTHING_RIGHT, N
from jacstrat.report.figures.picture import RATIO, GuideLine, Picture
from jacstrat.report.figures.series import Curve, series_of


class Least(NamedTuple):
    """What a quantity is held against: at its line, and in a sentence behind a factor."""

    label: str
    words: str


BEST = Least("best known", "the best-known cost")


def floor_picture(setting: Setting, records: Sequence[Record], title: str) -> Picture | None:
    """Time over that of the bare matrix products of the best-known algorithm, against n, with its 95 % interval."""
    series = series_of(records, "over_floor", "over_floor_low", "over_floor_high")
    return over_least("floor", "time of one call / time of its best-known products", BEST, setting, title, series)


def best_flops_picture(setting: Setting, records: Sequence[Record], title: str) -> Picture | None:
    """Counted FLOPs over those of the best-known algorithm, against n."""
    series = series_of(records, over_best_flops)
    return over_least("best-flops", "FLOPs / best-known FLOPs", BEST, setting, title, series)


def over_least(
    name: str, ylabel: str, least: Least, setting: Setting, title: str, series: tuple[Curve, ...]
) -> Picture | None:
    """A quantity over the least that it could be, against n; None where it is of no strategy."""
    if not series:
        return None
    right = [(-point.n, point.value, line.strategy) for line in series for point in line.points if not point.wrong]
    answer = NOTHING_RIGHT
    if right:
        n, value, strategy = min(right)
        answer = f"Nearest at n = {-n:g}: {shortened(strategy)}, {format_factor(value)} {least.words}"
    guide = GuideLine(least.label, lambda n: 1.0)
    return Picture(name, setting, title, answer, N, ylabel, RATIO, series, references=(guide,))
