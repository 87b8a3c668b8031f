"""What stands right of a chart: the names of its lines with remarks, and notes at the ends of its references."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from jacstrat.report.analysis.units import shortened
from jacstrat.report.figures.chart import GREY, marker
from jacstrat.report.figures.look import WIDE, FigureLook
from jacstrat.report.figures.palette import WRONG_DASH, style
from jacstrat.report.figures.series import Curve

NARROW_NAMES = 20


def notes(axes: Axes, ends: Iterable[tuple[float, str]], look: FigureLook = WIDE) -> None:
    """Grey texts right of the axes, each at its height y; those that would overlap share one."""
    low, high = axes.get_ylim()
    room = math.log(high / low) / 22
    shown: list[tuple[float, str]] = []
    for y, text in sorted(ends):
        if shown and math.log(y / shown[-1][0]) < room:
            shown[-1] = (shown[-1][0], f"{shown[-1][1]}, {text}")
        else:
            shown.append((y, text))
    for y, text in shown:
        axes.annotate(
            text,
            (1, y),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=look.note,
            color=GREY,
            annotation_clip=False,
        )


def legend_below(axes: Axes, series: Sequence[Curve], look: FigureLook) -> None:
    """Names below the axes, in two columns, the highest line first; of remarks only that a strategy is wrong."""
    handles = [_handle(line, look) for line in series]
    labels = [shortened(line.strategy, NARROW_NAMES) + ", wrong" * line.wrong for line in series]
    box = axes.figure.legend(
        handles, labels, loc="outside lower left", frameon=False, fontsize=look.legend, ncols=2, handlelength=2.6
    )
    for text in box.get_texts():
        text.set_parse_math(False)


def legend(figure: Figure, axes: Axes, series: Sequence[Curve], note_width: float = 0.0) -> None:
    """Names and remarks right of the axes, in the order of the lines' ends.

    Args:
        figure, axes: With everything drawn.
        series: In that order.
        note_width: Room to leave for notes, in points.
    """
    lines = sum(1 + bool(line.remark) * (1 + line.remark.count("\n")) for line in series)
    size, columns = next(
        ((s, c) for limit, s, c in ((20, 9.5, 1), (26, 7.5, 1), (64, 6.0, 2)) if lines <= limit), (4.0, 3)
    )
    handles = [_handle(line) for line in series]
    labels = ["\n".join(filter(None, (shortened(line.strategy), line.remark))) for line in series]
    box = axes.legend(
        handles,
        labels,
        loc="upper left",
        bbox_to_anchor=(1, 1),
        bbox_transform=axes.transAxes + ScaledTranslation((note_width + 8) / 72, 0, figure.dpi_scale_trans),
        borderaxespad=0,
        borderpad=0,
        frameon=False,
        fontsize=size,
        ncols=columns,
        handlelength=2.6,
    )
    for text in box.get_texts():
        text.set_parse_math(False)


def _handle(line: Curve, sizes: FigureLook = WIDE) -> Line2D:
    look = style(line.strategy)
    options = {**marker(line.strategy, line.wrong, sizes.marker), "linestyle": WRONG_DASH if line.wrong else look.dash}
    return Line2D([], [], color=look.color, linewidth=sizes.line, **options)
