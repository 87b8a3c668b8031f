"""What matplotlib drew: axes, lines, markers and texts of a figure."""

from collections.abc import Callable, Iterable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jacstrat.record import Record
from jacstrat.report.figures.palette import WRONG_DASH

Make = Callable[..., Record]
Sweep = Callable[..., list[Record]]
FrameOf = Callable[[Iterable[Record]], pd.DataFrame]
# Budgets, the Pareto front and samples stand against something else: see their own tests.
OVER_N = ["cost-ratio", "error", "memory", "time"]
COLUMNS = {"time": "median_s", "cost-ratio": "cost_ratio", "memory": "peak_bytes", "error": "rel_error"}


def axes_of(figure: Figure | None) -> Axes:
    assert figure is not None
    (axes,) = figure.axes
    return axes


def lines_of(axes: Axes, label: str) -> list[Line2D]:
    return [line for line in axes.lines if line.get_label() == label]


def markers_of(axes: Axes, strategy: str, hollow: bool | None = None) -> dict[float, float]:
    """x and y of the markers of a strategy: all, or only the hollow or the filled ones."""
    found = {}
    for line in lines_of(axes, strategy):
        is_hollow = to_hex(line.get_markerfacecolor()) == "#ffffff"
        if line.get_linestyle() == "None" and hollow in (None, is_hollow):
            found.update(zip(line.get_xdata(), line.get_ydata(), strict=True))
    return found


def strokes_of(axes: Axes, strategy: str) -> list[Line2D]:
    return [line for line in lines_of(axes, strategy) if line.get_linestyle() != "None"]


def is_dashed(line: Line2D) -> bool:
    expected = Line2D([], [], linestyle=WRONG_DASH, linewidth=line.get_linewidth())
    return bool(line._dash_pattern == expected._dash_pattern)


def texts_of(figure: Figure | None) -> list[str]:
    axes = axes_of(figure)
    legend = axes.get_legend()
    assert legend is not None
    shown = [axes.get_title(loc="left"), *(text.get_text() for text in [*axes.texts, *legend.get_texts()])]
    return [*shown, axes.get_xlabel(), axes.get_ylabel()]


def legend_of(figure: Figure | None) -> list[str]:
    legend = axes_of(figure).get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]
