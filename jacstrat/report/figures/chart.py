"""A chart: the series of one setting over n, or side by side where there is a single n.

Built on matplotlib.figure.Figure alone: no pyplot, no state that outlives a figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, LogLocator, NullLocator

from jacstrat.report.figures.look import WIDE, FigureLook
from jacstrat.report.figures.notebook import ShownFigure
from jacstrat.report.figures.palette import WRONG_DASH, style
from jacstrat.report.figures.picture import TIME, XKind
from jacstrat.report.figures.series import Curve, CurvePoint, touches_wrong
from jacstrat.report.figures.ticks import even_ticks, linear_ticks, spread

GREY = "#808080"
DARK = "#404040"
ANNOTATED_LIMIT = 12
CROWDED = 40
"""Points of a line from which its markers are small."""

ValueOf = Callable[[Curve, CurvePoint], float]


def own_value(series: Curve, point: CurvePoint) -> float:
    """A point at its value."""
    return point.value


def single(series: Sequence[Curve]) -> float | None:
    """The n, where all points share one."""
    ns = {point.n for line in series for point in line.points}
    return ns.pop() if len(ns) == 1 else None


def empty_chart(
    title: str,
    answer: str,
    ylabel: str,
    series: Sequence[Curve],
    base: int = 10,
    x: XKind = "n",
    look: FigureLook = WIDE,
) -> tuple[Figure, Axes]:
    """A figure with axes for these series, logarithmic in y, and in x unless there is a single n or x is rounds.

    Args:
        title: What is shown, in bold.
        answer: What it says, one line below.
        ylabel: The quantity and its unit.
        base: Of the y axis.
        x: What x is, see `Picture`.
        look: Its sizes. In a narrow figure the title takes several lines, and the answer is left to the caption.
    """
    figure = ShownFigure(figsize=(look.width, look.height), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.set_yscale("log", base=base)
    axes.set_ylabel(ylabel, fontsize=look.label, color=DARK)
    axes.grid(visible=True, which="major", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=look.tick, colors=DARK)
    _x_axis(axes, series, x, look)
    # Text is drawn as it is: a "$" in a name starts no formula.
    if look.below:
        unbroken = title.replace(" = ", "\u00a0=\u00a0")
        wrapped = "\n".join(wrap(unbroken, round(look.letters(look.title) * 0.85)))
        axes.set_title(wrapped, loc="left", pad=6, fontsize=look.title, fontweight="bold", parse_math=False)
        return figure, axes
    fitting = _fitting(look, look.title, title)
    axes.set_title(title, loc="left", pad=24, fontsize=fitting, fontweight="bold", parse_math=False)
    axes.annotate(
        answer,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 8),
        textcoords="offset points",
        fontsize=_fitting(look, look.text, answer),
        color=DARK,
        parse_math=False,
    ).set_in_layout(False)
    return figure, axes


def _fitting(look: FigureLook, size: float, text: str) -> float:
    """A font size in which the text fits the figure's width; a letter is about 0.58 of its size wide."""
    return min(size, look.width * 72 / (0.6 * max(len(text), 1)))


def _x_axis(axes: Axes, series: Sequence[Curve], x: XKind, look: FigureLook = WIDE) -> None:
    n = single(series)
    axes.set_xlabel("n, number of inputs", fontsize=look.label, color=DARK)
    axes.xaxis.set_minor_locator(NullLocator())
    if n is not None:
        axes.margins(y=0.2)  # room for the values above the points
        axes.set_xlim(0.4, len(series) + 0.6)
        axes.xaxis.set_major_locator(NullLocator())
        axes.set_xlabel(f"n = {n:g}; strategies in the order of the legend")
        return
    ns = sorted({point.n for line in series for point in line.points})
    if x == "rounds":
        margin = (ns[-1] - ns[0]) * 0.03
        axes.set_xlim(ns[0] - margin, ns[-1] + margin)
        axes.xaxis.set_major_locator(FixedLocator(linear_ticks(ns[0], ns[-1])))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        return
    axes.set_xscale("log", base=2 if x == "n" else 10)
    low, high = limits(ns)
    axes.set_xlim(low, high)
    crowd = 2 if look.below else 1
    ticks = spread(ns, crowd / 12) if x == "n" else even_ticks(low, high, crowd / 7)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(
        FixedFormatter([TIME.tick(tick) if x == "seconds" else f"{tick:g}" for tick in ticks])
    )
    axes.xaxis.set_minor_locator(NullLocator())


def limits(xs: Sequence[float]) -> tuple[float, float]:
    """The ends of a logarithmic x axis for these values, ascending, with a margin of 3 %."""
    margin = (xs[-1] / xs[0]) ** 0.03
    return xs[0] / margin, xs[-1] * margin


def draw(
    axes: Axes,
    series: Sequence[Curve],
    describe: Callable[[float], str],
    y_of: ValueOf = own_value,
    look: FigureLook = WIDE,
) -> None:
    """Every series with its band; wrong points are hollow, and lines that touch them dashed.

    The artists of a series bear its strategy as their label. The highest line is drawn first, so that the lowest, which
    is the best, lies on top.

    Args:
        axes: From `empty_chart` for the same series.
        series: In the order of `series_of`.
        describe: A value as text, for the labels of points side by side.
        y_of: Where a point stands in y.
        look: The sizes of lines and markers.
    """
    if single(series) is None:
        for i, line in enumerate(series):
            _draw_line(axes, line, y_of, sum(_coincide(line, later, y_of) for later in series[i + 1 :]), look)
        return
    for rank, line in enumerate(series, start=1):
        _draw_rank(axes, rank, line, y_of, look)
    if len(series) <= ANNOTATED_LIMIT:
        _annotate(axes, series, describe, y_of, look)


def _coincide(line: Curve, other: Curve, y_of: ValueOf) -> bool:
    """The points of two series at most of their common n's lie within 3 % of each other."""
    others = {point.n: y_of(other, point) for point in other.points}
    shared = [(y_of(line, point), others[point.n]) for point in line.points if point.n in others]
    return 2 * sum(abs(y - z) <= 0.03 * z for y, z in shared) > len(shared)


def _draw_line(axes: Axes, line: Curve, y_of: ValueOf, covers: int, sizes: FigureLook) -> None:
    """One series, wider and larger the more others cover it, so that it shows on both sides of them."""
    extra = min(covers, 3) * 2.0 * sizes.line / WIDE.line
    look = style(line.strategy)
    for run in line.runs():
        xs, ys = [point.n for point in run], [y_of(line, point) for point in run]
        dash = WRONG_DASH if touches_wrong(run) else look.dash
        axes.plot(xs, ys, color=look.color, linestyle=dash, linewidth=sizes.line + extra, label=line.strategy)
        band = [(point.low, point.high) for point in run]
        lows, highs = [low for low, _ in band if low is not None], [high for _, high in band if high is not None]
        if len(lows) == len(highs) == len(run):
            axes.fill_between(xs, lows, highs, color=look.color, alpha=0.18, linewidth=0, label=line.strategy)
    for wrong in (False, True):
        points = [point for point in line.points if point.wrong is wrong]
        size = sizes.marker + extra - (4.0 if len(line.points) > CROWDED else 0.0)
        _markers(axes, line, [(point.n, y_of(line, point)) for point in points], wrong, max(size, 1.5))


def _draw_rank(axes: Axes, rank: int, line: Curve, y_of: ValueOf, look: FigureLook) -> None:
    (point,) = line.points
    if point.low is not None and point.high is not None:
        color = style(line.strategy).color
        axes.vlines(rank, point.low, point.high, colors=color, linewidth=1.6, label=line.strategy)
    _markers(axes, line, [(rank, y_of(line, point))], point.wrong, look.marker)


def _markers(axes: Axes, line: Curve, at: Sequence[tuple[float, float]], hollow: bool, size: float) -> None:
    if at:
        xs, ys = zip(*at, strict=True)
        axes.plot(xs, ys, label=line.strategy, **marker(line.strategy, hollow, size))


def marker(strategy: str, hollow: bool, size: float = WIDE.marker) -> dict[str, Any]:
    """How matplotlib is to draw the points of a strategy, as options of `plot`, in a size in points."""
    look = style(strategy)
    fill = "white" if hollow else look.color
    return {
        "linestyle": "none",
        "marker": look.marker,
        "markersize": size,
        "markerfacecolor": fill,
        "markeredgecolor": look.color if hollow else "white",
        "markeredgewidth": 1.6 if hollow else 0.5,
        "zorder": 3,
    }


def _annotate(
    axes: Axes, series: Sequence[Curve], describe: Callable[[float], str], y_of: ValueOf, look: FigureLook
) -> None:
    """The value above each point side by side, turned where many stand in the way of each other."""
    turned = len(series) > (3 if look.below else 8)
    for rank, line in enumerate(series, start=1):
        (point,) = line.points
        y = max(y_of(line, point), point.high or 0.0)
        axes.annotate(
            describe(point.value),
            (rank, y),
            xytext=(0, 7),
            textcoords="offset points",
            ha="left" if turned else "center",
            rotation=35 if turned else 0,
            rotation_mode="anchor",
            fontsize=look.note,
            color=DARK,
        )


def positions(axes: Axes, series: Sequence[Curve]) -> list[float]:
    """Values of n at which to evaluate a theoretical curve: across the axes, or the single n."""
    n = single(series)
    if n is not None:
        return [float(n)]
    low, high = axes.get_xlim()
    if axes.get_xscale() == "linear":
        return [low, high]
    return [low * (high / low) ** (i / 64) for i in range(65)]


def reference(axes: Axes, series: Sequence[Curve], at: Sequence[tuple[float, float]], label: str) -> tuple[float, str]:
    """A thin grey line through the (n, y) given, right across where there is a single n.

    Returns:
        What `notes` needs to label its end.
    """
    n = single(series)
    xs = [x for x, _ in at] if n is None else list(axes.get_xlim())
    ys = [y for _, y in at] if n is None else [dict(at)[n]] * 2
    axes.plot(xs, ys, color=GREY, linewidth=1.0, zorder=1, label=label)
    return ys[-1], label


def scale_y(axes: Axes, tick: Callable[[float], str], base: int = 10) -> None:
    """Limits and ticks of a logarithmic y axis, once everything is drawn.

    The axis spans at least a factor of 5, so that noise does not look like a difference.
    """
    low, high = axes.get_ylim()
    if high / low < 5:
        middle = math.sqrt(low * high)
        low, high = middle / math.sqrt(5), middle * math.sqrt(5)
        axes.set_ylim(low, high)
    few = high / low < 10**2.5
    subs = (1.0, 2.0, 5.0) if base == 10 and few else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(base=base, subs=subs, numticks=10))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
    axes.yaxis.set_minor_locator(NullLocator())
