"""The ratios of times with their intervals, a line a case."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from jacstrat.compare.verdict import CaseVerdict, Comparison, Finding, Verdict
from jacstrat.compare.wording import CaseWords, lines_of, tally
from jacstrat.core.errors import UsageError
from jacstrat.report.figures.chart import DARK, GREY
from jacstrat.report.figures.notebook import ShownFigure
from jacstrat.report.figures.plots import METADATA, write_figure

MOST_LINES = 60
NAME_LIMIT = 64
WIDTH_INCHES, LINE_INCHES, REST_INCHES = 10.0, 0.2, 1.6
# Of Okabe and Ito's palette, and told apart by their markers as well.
LOOKS = {
    Verdict.SLOWER: ("#D55E00", ">"),
    Verdict.FASTER: ("#009E73", "<"),
    Verdict.AMBIGUOUS: ("#999999", "o"),
    Verdict.SAME: ("#0072B2", "o"),
}


def ratio_plot(comparison: Comparison, threshold: float) -> Figure:
    """Ratios of NEW to BASE, the largest on top; of many cases those that are no AMBIGUOUS and SAME, and the farthest.

    The artists of a case bear its key as their label.

    Args:
        comparison: With times.
        threshold: The band around 1 that is shaded.

    Raises:
        UsageError: No time was compared.
    """
    timed = [(case, case.time) for case in comparison.cases if case.time and case.time.ratio]
    if not timed:
        raise UsageError("there is no time to plot: --plot needs samples of time on both sides")
    chosen = sorted(sorted(timed, key=_importance)[:MOST_LINES], key=lambda pair: pair[1].ratio or 1.0)
    figure = ShownFigure(
        figsize=(WIDTH_INCHES, REST_INCHES + LINE_INCHES * len(chosen)), layout="constrained", facecolor="white"
    )
    axes = figure.add_subplot()
    axes.set_xscale("log", base=2)
    axes.axvspan(1 / (1 + threshold), 1 + threshold, color="#E4E4E4", zorder=0, label="threshold")
    axes.axvline(1, color=GREY, linewidth=1, zorder=1, label="1")
    for height, (case, finding) in enumerate(chosen):
        color, marker = LOOKS[finding.verdict]
        if finding.low is not None and finding.high is not None:
            axes.hlines(height, finding.low, finding.high, color=color, linewidth=1.6, label=case.case)
        axes.plot([finding.ratio or 1.0], [height], marker=marker, color=color, markersize=6, label=case.case)
    names = [_name(line) for line in lines_of(comparison, [case for case, _ in chosen])]
    axes.set_yticks(range(len(chosen)), names, fontsize=8, color=DARK, parse_math=False)
    axes.set_ylim(-0.7, len(chosen) - 0.3)
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(base=2, subs=(1.0, 1.5) if high / low < 8 else (1.0,)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}×"))
    measures = {finding.measure for _, finding in chosen}
    what = "cost ratio" if measures == {"cost_ratio"} else "time"
    axes.set_xlabel(f"{what} of NEW over that of BASE, with 95 % interval", fontsize=10, color=DARK)
    axes.spines[["top", "right"]].set_visible(False)
    left = f", {len(chosen)} of {len(timed)} shown" if len(chosen) < len(timed) else ""
    axes.set_title(f"{tally(comparison)}{left}", loc="left", fontsize=11, fontweight="bold", parse_math=False)
    drawn = [verdict for verdict in LOOKS if any(finding.verdict is verdict for _, finding in chosen)]
    axes.legend(
        [Line2D([], [], color=LOOKS[v][0], marker=LOOKS[v][1], linewidth=1.6) for v in drawn],
        [str(verdict) for verdict in drawn],
        loc="lower right",
        frameon=False,
        fontsize=8,
    )
    return figure


def _name(line: CaseWords) -> str:
    """A name that fits beside the axes: of a long one, what stands in front goes, since strategies stand last."""
    whole = f"{line.quantity}, {line.setting}, {line.strategy}"
    return whole if len(whole) <= NAME_LIMIT else f"…{whole[1 - NAME_LIMIT :]}"


def _importance(pair: tuple[CaseVerdict, Finding]) -> tuple[bool, float]:
    finding = pair[1]
    return finding.verdict in (Verdict.SAME, Verdict.AMBIGUOUS), -abs(math.log(finding.ratio or 1.0))


def write_plot(comparison: Comparison, file: Path, threshold: float) -> None:
    """Draw the ratios into a PNG, an SVG or a PDF.

    Raises:
        UsageError: The file's name ends otherwise, it cannot be written, or there is nothing to draw.
    """
    kind = file.suffix.lower().removeprefix(".")
    if kind not in METADATA:
        raise UsageError(f"--plot writes PNG, SVG or PDF: its file must end in .png, .svg or .pdf, got {file.name}")
    figure = ratio_plot(comparison, threshold)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_figure(figure, file, kind)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror or error}; name another with --plot") from None
