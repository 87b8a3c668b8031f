"""Which strategy wins over n and B at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from textwrap import wrap

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from jacstrat.report.analysis.answers import Winner, winners
from jacstrat.report.analysis.setting import Setting, Source, by_setting, to_records
from jacstrat.report.analysis.units import format_factor, shortened
from jacstrat.report.figures.chart import DARK
from jacstrat.report.figures.look import look_of
from jacstrat.report.figures.notebook import ShownFigure
from jacstrat.report.figures.palette import contrast, style

NOTHING = "#EEEEEE"


@dataclass(frozen=True)
class WinnerMap:
    """The winners of a setting over n and B.

    Fields:
        setting: Its batch is 0: all of them.
        ns, batches: Ascending.
        cells: The winner by (n, batch); None where no result is right; nothing where nothing was asked.
    """

    setting: Setting
    ns: tuple[int, ...]
    batches: tuple[int, ...]
    cells: Mapping[tuple[int, int], Winner | None]

    @property
    def title(self) -> str:
        """Such as "Divergence of sin, float64, cpu: fastest right strategy"."""
        words = ["dtype", "device"] + ["workload"] * (self.setting.workload != "evaluate")
        name = f"{self.setting.name[:1].upper()}{self.setting.name[1:]}"
        return f"{name}, {self.setting.words(words)}: fastest right strategy"


def winner_maps(source: Source) -> tuple[WinnerMap, ...]:
    """A map for each setting that has a grid: two batches or more that have two n's or more in common."""
    records = to_records(source)
    won = {(winner.setting, winner.n): winner for winner in winners(records)}
    parts: dict[Setting, dict[tuple[int, int], Winner | None]] = {}
    for setting, group in by_setting(records).items():
        cells = parts.setdefault(replace(setting, batch=0), {})
        cells.update({(n, setting.batch): won.get((setting, n)) for n in {record.n for record in group}})
    maps = []
    for setting, cells in parts.items():
        if grid := _grid(cells):
            ns, batches = (tuple(sorted({key[i] for key in grid})) for i in (0, 1))
            maps.append(WinnerMap(setting, ns, batches, grid))
    return tuple(maps)


def _grid(cells: Mapping[tuple[int, int], Winner | None]) -> dict[tuple[int, int], Winner | None]:
    """The cells of the rows that make a grid: each shares two n's with another one. One row, or a column, is none."""
    rows: dict[int, set[int]] = {}
    for n, batch in cells:
        rows.setdefault(batch, set()).add(n)
    shown = {b for b, ns in rows.items() if any(len(ns & other) > 1 for c, other in rows.items() if c != b)}
    return {cell: winner for cell, winner in cells.items() if cell[1] in shown}


def draw_map(winner_map: WinnerMap, width_inches: float | None = None) -> Figure:
    """The map as a figure, 8 inches wide unless given: n and B in their winner's colour, with its name and lead."""
    look = look_of(width_inches)
    height = min(look.height, 1.2 + (0.42 if look.below else 0.62) * len(winner_map.batches))
    figure = ShownFigure(figsize=(look.width, height), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    # A cell has room for about ten letters of its size.
    size = max(4.5, min(9.0, look.width * 72 / (len(winner_map.ns) + 1) / 7))
    for (n, batch), winner in winner_map.cells.items():
        x, y = winner_map.ns.index(n), winner_map.batches.index(batch)
        color = style(winner.strategy).color if winner else NOTHING
        label = winner.strategy if winner else "no right result"
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=color, edgecolor="white", linewidth=2, label=label))
        ink = "#FFFFFF" if contrast(color, "#FFFFFF") >= contrast(color, "#000000") else "#000000"
        text = shortened(label, 14).replace(":", ":\n", 1)
        if winner and winner.runner_up:
            text += f"\n{format_factor(winner.over_next) or 'level'}"
        axes.annotate(
            text, (x + 0.5, y + 0.5), ha="center", va="center", fontsize=size, color=ink, parse_math=False
        ).set_in_layout(False)
    axes.set_xlim(0, len(winner_map.ns))
    axes.set_ylim(0, len(winner_map.batches))
    axes.set_xticks([i + 0.5 for i in range(len(winner_map.ns))], [str(n) for n in winner_map.ns])
    axes.set_yticks([i + 0.5 for i in range(len(winner_map.batches))], [str(batch) for batch in winner_map.batches])
    axes.tick_params(length=0, labelsize=look.tick, colors=DARK)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("n, number of inputs", fontsize=look.label, color=DARK)
    axes.set_ylabel("B, points", fontsize=look.label, color=DARK)
    title = "\n".join(wrap(winner_map.title, round(look.letters(look.title) * 0.85)))
    axes.set_title(title, loc="left", fontsize=look.title, fontweight="bold", parse_math=False)
    note = "below a name: the next one's multiple of its time, or level where the two cannot be told apart"
    wrapped = "\n".join(wrap(note, round(look.letters(look.note) * 0.9)))
    axes.annotate(
        wrapped,
        (0, 0),
        xycoords="axes fraction",
        xytext=(0, -2.2 * look.label - look.tick),
        va="top",
        textcoords="offset points",
        fontsize=look.note,
        color=DARK,
    )
    return figure
