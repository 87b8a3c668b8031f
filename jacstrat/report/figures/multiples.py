"""The small multiples of a run as figures: what the page shows first, for a paper or a slide."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import wrap

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, NullLocator

from jacstrat.record import Record
from jacstrat.report.analysis.setting import by_setting
from jacstrat.report.analysis.units import shortened
from jacstrat.report.figures.chart import DARK, draw, limits, single
from jacstrat.report.figures.look import NARROW_INCHES, WIDE, FigureLook
from jacstrat.report.figures.notebook import ShownFigure
from jacstrat.report.figures.palette import style
from jacstrat.report.figures.picture import TIME, Picture
from jacstrat.report.figures.series import series_of
from jacstrat.report.figures.small import Small
from jacstrat.report.figures.ticks import even_ticks, log_ticks, spaced, spread, tick_labels

MOST_AXES = 12
"""Small multiples in a figure; the next figure has the others."""
THREE_INCHES = 7.0
AXES_INCHES = 1.75
LEAST_HEIGHT = 0.42
"""Of the axes, as a share of their width: one or two that fill the width are higher."""
NAMES = 16
LETTERS = FigureLook(WIDE.width, WIDE.height, 8.5, 7.0, 7.5, 7.0, 7.0, 7.0, 4.5, 1.3)


def draw_smalls(smalls: Sequence[Small], width_inches: float | None = None) -> tuple[Figure, ...]:
    """The small multiples, three a row, fewer where there are or the width has room for fewer; MOST_AXES a figure."""
    width = width_inches or WIDE.width
    columns = min(1 if width < NARROW_INCHES else 2 if width < THREE_INCHES else 3, max(len(smalls), 1))
    height = max(AXES_INCHES, width / columns * LEAST_HEIGHT)
    figures = []
    for first in range(0, len(smalls), MOST_AXES):
        part = smalls[first : first + MOST_AXES]
        rows = math.ceil(len(part) / columns)
        size = (width, rows * height + 0.1)
        figure = ShownFigure(figsize=size, layout="constrained", facecolor="white")
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(part) :]:
            axes.set_axis_off()
        for axes, small in zip(grid.flat, part, strict=False):
            words = small.picture.setting.words(["device", "dtype", "workload"])
            draw_small(axes, small.picture, width / columns, f"{words}, {small.fixed_words}")
        figures.append(figure)
    return tuple(figures)


def draw_strip(records: Sequence[Record]) -> ShownFigure | None:
    """Every strategy that was measured at one n, a row each, the fastest on top; None where none was."""
    series = series_of(records, "median_s", "q1_s", "q3_s")
    if not series:
        return None
    (setting,) = by_setting(records)
    picture = Picture("strip", setting, "", "", "", "time of one call", TIME, series)
    figure = ShownFigure(figsize=(6.0, 0.9 + 0.24 * len(series)), layout="constrained", facecolor="white")
    draw_small(figure.add_subplot(), picture, 6.0)
    return figure


def draw_small(axes: Axes, picture: Picture, width_inches: float, heading: str = "") -> None:
    """A picture on small axes: a line a strategy with its name at its end, or of a single n a row a strategy.

    Args:
        axes: To draw on.
        picture: Of times, or of ratios.
        width_inches: What the axes have with all that stands around them, to which the titles are wrapped.
        heading: Where it was measured, in the words of the second title; device, dtype, workload and B unless given.
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=LETTERS.tick, colors=DARK, length=2)
    axes.grid(visible=True, which="major", color="#E4E4E4", linewidth=0.6)
    axes.set_axisbelow(True)
    letters = int(width_inches * 72 / (0.62 * LETTERS.title))
    title = "\n".join(wrap(f"{picture.setting.name[:1].upper()}{picture.setting.name[1:]}", letters))
    axes.set_title(
        f"{title}\n", loc="left", fontsize=LETTERS.title, fontweight="bold", parse_math=False, pad=3, linespacing=1.1
    )
    axes.annotate(
        heading or picture.setting.words(["device", "dtype", "workload", "batch"]),
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 4),
        textcoords="offset points",
        fontsize=LETTERS.tick,
        color=DARK,
        parse_math=False,
    ).set_in_layout(False)
    if single(picture.series) is None:
        _lines(axes, picture)
    else:
        _rows(axes, picture)


def _lines(axes: Axes, picture: Picture) -> None:
    series = picture.series
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    draw(axes, series, picture.unit.show, look=LETTERS)
    ns = sorted({point.n for line in series for point in line.points})
    axes.set_xlim(*limits(ns))
    ticks = spread(ns, 1 / 5)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter(tick_labels(ticks, picture.setting.size)))
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = picture.span or axes.get_ylim()
    if high / low < 5:
        middle = math.sqrt(low * high)
        low, high = middle / math.sqrt(5), middle * math.sqrt(5)
    axes.set_ylim(low, high)
    _ticked(axes.yaxis, low, high, picture, 1 / 5)
    height = math.log(high / low)
    ends = sorted((math.log(line.points[-1].value / low) / height, line.strategy, line.wrong) for line in series)
    for (_, strategy, wrong), y in zip(ends, spaced([end[0] for end in ends], 0.11, 0.0, 1.0), strict=True):
        axes.annotate(
            shortened(strategy, NAMES) + ", wrong" * wrong,
            (1.03, y),
            xycoords="axes fraction",
            va="center",
            fontsize=LETTERS.tick,
            color=DARK,
            parse_math=False,
            annotation_clip=False,
        )


def _rows(axes: Axes, picture: Picture) -> None:
    lines = sorted(picture.series, key=lambda line: -line.points[0].value)
    axes.set_xscale("log")
    for row, line in enumerate(lines):
        (point,) = line.points
        color = style(line.strategy).color
        axes.hlines(row, point.low or point.value, point.high or point.value, colors=color, linewidth=1.3)
        axes.plot(
            [point.value],
            [row],
            linestyle="none",
            marker=style(line.strategy).marker,
            markersize=LETTERS.marker + 1,
            markerfacecolor="white" if point.wrong else color,
            markeredgecolor=color,
            label=line.strategy,
        )
        axes.annotate(
            picture.unit.show(point.value) + ", wrong" * point.wrong,
            (point.high or point.value, row),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            fontsize=LETTERS.tick,
            color=DARK,
        )
    axes.set_yticks(range(len(lines)), [shortened(line.strategy, NAMES) for line in lines], parse_math=False)
    axes.set_ylim(-0.6, len(lines) - 0.4)
    values = [value for line in lines for p in line.points for value in (p.value, p.low, p.high) if value]
    low, high = min(values) / 1.3, max(values) * 2.2
    axes.set_xlim(low, high)
    axes.set_xlabel(f"{picture.setting.size} = {lines[0].points[0].n:g}", fontsize=LETTERS.tick, color=DARK)
    _ticked(axes.xaxis, low, high, picture, 1 / 3)


def _ticked(axis: Axis, low: float, high: float, picture: Picture, room: float) -> None:
    """Round values on an axis, each of which takes that share of it, in the unit of the picture."""
    base = picture.unit.base
    ticks = even_ticks(low, high, room) if base == 10 else spread(log_ticks(low, high, base, most=4), room)
    shown = [tick for tick in ticks if low <= tick <= high]
    axis.set_major_locator(FixedLocator(shown))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: picture.unit.tick(value)))
