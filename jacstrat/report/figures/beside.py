"""Several runs side by side: a picture a side, with one y axis, of what compares between places.

Seconds do not compare. Where both sides have `over_light`, the time over the least time that the hardware could take,
that is drawn; else the cost ratio, the time over that of f.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from jacstrat.record import COLUMNS, Record
from jacstrat.report.analysis.cross_run import RunSide, anywhere
from jacstrat.report.analysis.setting import Setting, by_setting
from jacstrat.report.figures.look import NARROW_INCHES, WIDE
from jacstrat.report.figures.multiples import AXES_INCHES, draw_small
from jacstrat.report.figures.notebook import ShownFigure
from jacstrat.report.figures.overn import N
from jacstrat.report.figures.picture import RATIO, Picture
from jacstrat.report.figures.series import Curve, series_of
from jacstrat.report.figures.small import chosen

BESIDE = "beside"
LIGHT, RATIO_COLUMN = "over_light", "cost_ratio"
LABELS: Mapping[str, str] = {
    LIGHT: "time of one call / least time that its hardware could take",
    RATIO_COLUMN: "time of one call / time of f",
}


@dataclass(frozen=True)
class Beside:
    """A setting on several sides.

    Fields:
        setting: Without device, machine and threads, which are those of a side.
        column: What is drawn of it, a key of LABELS.
        pictures: By side, with its label as the title; all have the same ends of y.
    """

    setting: Setting
    column: str
    pictures: tuple[Picture, ...]


def besides(compared: Sequence[RunSide]) -> tuple[Beside, ...]:
    """Every setting that two sides or more have, with the strategies that are the best three, or wrong, on any side."""
    parts = [{anywhere(setting): (setting, rows) for setting, rows in by_setting(s.records).items()} for s in compared]
    pairs = []
    for setting in dict.fromkeys(setting for part in parts for setting in part):
        there = [(side, *part[setting]) for side, part in zip(compared, parts, strict=True) if setting in part]
        names = {line.strategy for _, _, rows in there for line in chosen(rows)}
        column = LIGHT if LIGHT in COLUMNS and all(_has(rows, LIGHT) for _, _, rows in there) else RATIO_COLUMN
        drawn = [(side, its_setting, _series(rows, names, column)) for side, its_setting, rows in there]
        drawn = [one for one in drawn if one[2]]
        if len(drawn) > 1:
            span = _span([line for _, _, series in drawn for line in series])
            pictures = tuple(
                Picture(BESIDE, its_setting, side.label, "", N, LABELS[column], RATIO, series, span=span)
                for side, its_setting, series in drawn
            )
            pairs.append(Beside(setting, column, pictures))
    return tuple(pairs)


def _has(rows: Sequence[Record], column: str) -> bool:
    return any(getattr(row, column, None) is not None for row in rows)


def _series(rows: Sequence[Record], names: set[str], column: str) -> tuple[Curve, ...]:
    curves = series_of(rows, column, f"{column}_low", f"{column}_high")
    return tuple(line for line in curves if line.strategy in names)


def _span(series: Sequence[Curve]) -> tuple[float, float]:
    values = [value for line in series for p in line.points for value in (p.value, p.low, p.high) if value]
    return min(values) / 1.1, max(values) * 1.1


def draw_beside(beside: Beside, width_inches: float | None = None) -> Figure:
    """The sides beside each other, below each other where the width has no room; one y axis for all."""
    width = width_inches or WIDE.width
    below = width < NARROW_INCHES
    count = len(beside.pictures)
    rows, columns = (count, 1) if below else (1, count)
    figure = ShownFigure(figsize=(width, rows * AXES_INCHES + 0.6), layout="constrained", facecolor="white")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, picture in zip(grid.flat, beside.pictures, strict=True):
        draw_small(axes, picture, width / columns, picture.title)
    figure.supylabel(LABELS[beside.column], fontsize=7.5)
    return figure
