"""Lines over commits as a table and as plots."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter

from jacstrat.core.case import Case
from jacstrat.history.lines import COUNTS, ERRORS, HistoryLine, LevelStep
from jacstrat.report.analysis.sheet import Sheet, SheetColumn, sheet_of
from jacstrat.report.analysis.units import format_bytes, format_error, format_factor, format_ratio, format_seconds
from jacstrat.report.figures.chart import DARK, GREY
from jacstrat.report.figures.look import WIDE
from jacstrat.report.figures.notebook import ShownFigure
from jacstrat.report.figures.plots import save

SHORT = 10
"""Digits of a commit, as people read them."""
MOST_LABELS = 12
BLUE, RED, GREEN = "#0072B2", "#D55E00", "#009E73"


def formatter(measure: str) -> Callable[[float], str]:
    """How values of a measure are written."""
    if measure.endswith("_s"):
        return format_seconds
    if measure.endswith("_bytes"):
        return format_bytes
    if measure in COUNTS:
        return lambda value: f"{value:.0f}"
    return format_error if measure in ERRORS else format_ratio


def table(lines: Sequence[HistoryLine], most_steps: int = 3) -> Sheet:
    """A row a case, those first whose level has risen most above the lowest they had."""
    parsed = {line.case: Case.parse(line.case) for line in lines}
    settings = zip(*(case.setting for case in parsed.values() if case), strict=True)
    varying = [len(set(parts)) > 1 for parts in settings]
    columns = [
        SheetColumn("case"),
        SheetColumn("at"),
        SheetColumn("commits", numeric=True, rank=3),
        SheetColumn("first", numeric=True, rank=2),
        SheetColumn("last", numeric=True, rank=1),
        SheetColumn("over first", numeric=True),
        SheetColumn("over best", numeric=True),
        SheetColumn("steps", prose=True),
    ]
    rows, styles = [], []
    for line in sorted(lines, key=lambda line: -line.over_best):
        shown = formatter(line.measure)
        case = parsed[line.case]
        steps = [words(step) for step in line.steps]
        left = len(steps) - most_steps
        rows.append(
            [
                case.name if case else line.case,
                ", ".join(part for part, varies in zip(case.setting, varying, strict=True) if varies) if case else "",
                str(len(line.points)),
                shown(line.levels[0][2]),
                shown(line.levels[-1][2]),
                format_factor(line.drift),
                format_factor(line.over_best),
                ", ".join(([f"{left} earlier"] if left > 0 else []) + steps[-most_steps:]),
            ]
        )
        styles.append("red" if line.steps and line.steps[-1].factor > 1 else "")
    measure = lines[0].measure if lines else ""
    return sheet_of(f"{measure} over commits: levels, and the commits at which they change", columns, rows, styles)


def words(step: LevelStep) -> str:
    """A step in words: its factor, and the commit that it is first seen at."""
    return f"{format_factor(step.factor)} at {step.commit[:SHORT]}"


def plot(line: HistoryLine) -> Figure:
    """A line over commits with its levels; steps up are red, steps down green, and bear their commit."""
    figure = ShownFigure(figsize=(WIDE.width, WIDE.height), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    values = [point.value for point in line.points]
    axes.plot(range(len(values)), values, ".", color=BLUE, markersize=7, label=line.measure)
    for begin, end, level in line.levels:
        axes.hlines(level, begin - 0.4, end - 0.6, colors=DARK, linewidth=1.6)
    for step, (begin, _, _) in zip(line.steps, line.levels[1:], strict=True):
        color = RED if step.factor > 1 else GREEN
        axes.axvline(begin - 0.5, color=color, linewidth=1.2)
        axes.annotate(
            words(step),
            (begin - 0.5, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, -4),
            textcoords="offset points",
            rotation=90,
            va="top",
            fontsize=8,
            color=color,
        )
    if min(values) > 0:
        axes.set_yscale("log")
    # Noise is not to look like a difference.
    low, high = min(values), max(values)
    if low > 0 and high / low < 1.5:
        middle = (low * high) ** 0.5
        axes.set_ylim(middle / 1.5, middle * 1.5)
    shown = formatter(line.measure)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value)))
    axes.yaxis.set_minor_formatter(
        FuncFormatter(lambda value, _: shown(value)) if high < 5 * low else FixedFormatter([])
    )
    ticks = list(range(0, len(values), max(1, -(-len(values) // MOST_LABELS))))
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    labels = [f"{line.points[i].commit[:SHORT]}\n{line.points[i].date[:10]}" for i in ticks]
    axes.xaxis.set_major_formatter(FixedFormatter(labels))
    axes.tick_params(axis="x", labelrotation=45, labelsize=8, colors=DARK)
    axes.tick_params(axis="y", labelsize=9, colors=DARK)
    axes.set_ylabel(line.measure, fontsize=11, color=DARK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="y", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_title(line.case, loc="left", fontsize=9, color=GREY, parse_math=False)
    return figure


def write_plots(lines: Sequence[HistoryLine], directory: Path) -> list[Path]:
    """A PNG, an SVG and a PDF a line; the same lines give the same bytes."""
    directory.mkdir(parents=True, exist_ok=True)
    return [path for line in lines for path in save(plot(line), directory / file_name(line))]


def file_name(line: HistoryLine) -> str:
    """Of [a-z0-9_.=-] only, distinct for distinct lines."""
    plain = re.sub(r"[^a-z0-9_.=]+", "-", f"{line.measure}-{line.case}".lower())[:100].strip("-")
    return f"{plain}-{hashlib.sha256(line.case.encode()).hexdigest()[:6]}"
