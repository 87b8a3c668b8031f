"""Where the time of a call goes: into kernels of the device, and into gaps in which it waits for its launches."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from jacstrat.record import Record
from jacstrat.report.analysis.setting import Setting, Source, by_setting, to_records
from jacstrat.report.analysis.units import format_seconds, shortened
from jacstrat.report.figures.chart import DARK
from jacstrat.report.figures.look import look_of
from jacstrat.report.figures.notebook import ShownFigure
from jacstrat.report.figures.palette import style
from jacstrat.report.figures.roofline import value_of

GAP = "#D9D9D9"


@dataclass(frozen=True)
class TimeSplit:
    """A strategy's time of a call.

    Fields:
        strategy, wrong: Which, and whether its result is wrong.
        kernel_s, gap_s: Seconds in kernels, and what is left of the median.
        kernels: How many run in a call; None where nobody counted.
    """

    strategy: str
    wrong: bool
    kernel_s: float
    gap_s: float
    kernels: int | None

    @property
    def share(self) -> float:
        """The share of the time in kernels."""
        return self.kernel_s / (self.kernel_s + self.gap_s)

    @property
    def bound(self) -> str:
        """What the time is spent on, such as "launch-bound, 71% waiting"."""
        return f"{'launch-bound' if self.share < 0.5 else 'kernel-bound'}, {1 - self.share:.0%} waiting"

    @property
    def words(self) -> str:
        """The time, and how many kernels it is: "523 µs, 74 kernels"."""
        count = "" if self.kernels is None else f", {self.kernels} kernel{'s' * (self.kernels != 1)}"
        return f"{format_seconds(self.kernel_s + self.gap_s)}{count}{', wrong' * self.wrong}"


@dataclass(frozen=True)
class Split:
    """The parts of every strategy of a setting at the largest n that has any, the fastest first."""

    setting: Setting
    n: int
    parts: tuple[TimeSplit, ...]

    @property
    def title(self) -> str:
        """Such as "Laplacian of tanh_scalar, float32, cuda, B = 16, n = 128"."""
        return f"{self.setting.title()}, n = {self.n}"

    @property
    def answer(self) -> str:
        """What the fastest right one spends its time on."""
        right = [part for part in self.parts if not part.wrong]
        return f"Fastest: {shortened(right[0].strategy)}, {right[0].bound}" if right else "No right result."


def splits(source: Source) -> tuple[Split, ...]:
    """The split of each setting whose records have `kernel_s` and `gap_s`."""
    of_settings = []
    for setting, records in by_setting(to_records(source)).items():
        parts: dict[int, list[TimeSplit]] = {}
        for record in records:
            if (part := _part(record)) is not None:
                parts.setdefault(record.n, []).append(part)
        if parts:
            n = max(parts)
            ordered = sorted(parts[n], key=lambda part: part.kernel_s + part.gap_s)
            of_settings.append(Split(setting, n, tuple(ordered)))
    return tuple(of_settings)


def _part(record: Record) -> TimeSplit | None:
    kernel_s, gap_s, kernels = (value_of(record, name) for name in ("kernel_s", "gap_s", "kernels"))
    if kernel_s is None or gap_s is None or not kernel_s + gap_s > 0:
        return None
    return TimeSplit(
        record.strategy, record.status == "wrong", kernel_s, gap_s, None if kernels is None else int(kernels)
    )


def draw_split(split: Split, width_inches: float | None = None) -> Figure:
    """A bar a strategy, all of one length: the share of kernels in its colour, that of gaps in grey."""
    look = look_of(width_inches)
    height = 1.1 + (0.26 if look.below else 0.34) * len(split.parts)
    figure = ShownFigure(figsize=(look.width, height), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    for row, part in enumerate(split.parts):
        hatch = "////" if part.wrong else None
        color = style(part.strategy).color
        axes.barh(row, part.share, color=color, hatch=hatch, edgecolor="white", label=part.strategy)
        axes.barh(row, 1 - part.share, left=part.share, color=GAP, edgecolor="white", label="gap")
        axes.annotate(
            part.words,
            (1, row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=look.note,
            color=DARK,
            annotation_clip=False,
        )
    names = [shortened(part.strategy, 20) for part in split.parts]
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.tick_params(labelsize=look.tick, colors=DARK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("share of a call: in kernels, in colour; waiting, in grey", fontsize=look.note, color=DARK)
    title = "\n".join(wrap(split.title.replace("B = ", "B\u00a0=\u00a0"), round(look.letters(look.title) * 0.85)))
    figure.suptitle(title, x=0.01, ha="left", fontsize=look.title, fontweight="bold", parse_math=False)
    return figure
