"""The plots of a run: its pictures drawn by matplotlib, a file each a setting."""

from __future__ import annotations

import hashlib
import io
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import SymmetricalLogLocator

from jacstrat.core.errors import UsageError
from jacstrat.core.text import printable
from jacstrat.core.whole import write_whole
from jacstrat.record import Record
from jacstrat.report.analysis.batches import batch_sweeps
from jacstrat.report.analysis.setting import SETTING, Setting, Source, by_setting, to_records, varying
from jacstrat.report.figures.budget import BUDGET, PRODUCTS, budget_picture, products_picture
from jacstrat.report.figures.chart import (
    DARK,
    GREY,
    draw,
    empty_chart,
    own_value,
    positions,
    reference,
    scale_y,
    single,
)
from jacstrat.report.figures.errorscale import ErrorScale
from jacstrat.report.figures.legend import legend, legend_below, notes
from jacstrat.report.figures.look import FigureLook, look_of
from jacstrat.report.figures.lower_bound import best_flops_picture, floor_picture
from jacstrat.report.figures.overn import N, cost_ratio_picture, error_picture, memory_picture, time_picture
from jacstrat.report.figures.pareto import pareto_picture
from jacstrat.report.figures.picture import Picture
from jacstrat.report.figures.roofline import LIGHT, ROOFLINE, light_picture, roofline_picture
from jacstrat.report.figures.samples import Samples, samples_picture

DPI = 150
# No date, no version, no random ids: the same records give the same bytes.
METADATA = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
# Fonts are embedded as TrueType in PDF, which journals ask for, and as outlines in SVG.
FONTS: Any = {"svg.hashsalt": "jacstrat", "svg.fonttype": "path", "pdf.fonttype": 42}
MOST_STEM = 160
"""Characters of the begin of a file name, which its ending and the plot's name are added to; systems take 255."""

Build = Callable[[Setting, Sequence[Record], str, Samples], Picture | None]


def _without_samples(build: Callable[[Setting, Sequence[Record], str], Picture | None]) -> Build:
    return lambda setting, records, title, samples: build(setting, records, title)


@dataclass(frozen=True)
class PlotKind:
    """A plot as it is registered: files, the page and `--plot` have it from its row in PICTURES.

    Fields:
        label: Its name on the page.
        build: Its picture of the records of a setting; None where they have nothing to show.
        note_width: Room for the labels of references right of the axes, in points.
        over_batches: It is drawn over B, too, where a run has several at one n (`batch_sweeps`).
    """

    label: str
    build: Build
    note_width: int = 64
    over_batches: bool = False


PICTURES: Mapping[str, PlotKind] = MappingProxyType(
    {
        "time": PlotKind("Time", _without_samples(time_picture), note_width=40, over_batches=True),
        "cost-ratio": PlotKind("Cost ratio", _without_samples(cost_ratio_picture), note_width=38),
        "error": PlotKind("Error", _without_samples(error_picture)),
        "memory": PlotKind("Memory", _without_samples(memory_picture), over_batches=True),
        "pareto": PlotKind("Time and error", _without_samples(pareto_picture)),
        "floor": PlotKind("Over the floor", _without_samples(floor_picture)),
        "best-flops": PlotKind("Over the best FLOPs", _without_samples(best_flops_picture)),
        LIGHT: PlotKind("Over the light", _without_samples(light_picture)),
        ROOFLINE: PlotKind("Roofline", _without_samples(roofline_picture)),
        BUDGET: PlotKind("Error and products", _without_samples(budget_picture), note_width=28),
        PRODUCTS: PlotKind("Time and products", _without_samples(products_picture)),
        "samples": PlotKind("Samples over time", samples_picture, note_width=40),
    }
)
"""The plots of a setting by name, in the order of the page; a picture has the name of its row."""


def draw_picture(picture: Picture, width_inches: float | None = None) -> Figure:
    """A picture as a figure of 8 by 5 inches, or so wide; below 5.5 inches with letters and a legend for a column."""
    series, look = picture.series, look_of(width_inches)
    if look.below:
        look = replace(look, height=look.height + 0.15 * math.ceil(len(series) / 2))
    figure, axes = empty_chart(
        picture.title, picture.answer, picture.ylabel, series, base=picture.unit.base, x=picture.x, look=look
    )
    if picture.xlabel != N:
        alone = single(series) if picture.setting.size == "B" else None
        axes.set_xlabel(picture.xlabel if alone is None else f"B = {alone:g}; strategies in the order of the legend")
    scale = ErrorScale.of(series, picture.epsilon) if picture.errors else None
    zero = scale is None and any(point.value == 0 for line in series for point in line.points)
    if zero:
        axes.set_yscale("symlog", base=picture.unit.base, linthresh=1)  # a logarithm has no place for 0 bytes
    draw(axes, series, picture.unit.show, scale.height if scale else own_value, look)
    if scale:
        scale.apply(axes)
    ends = []
    for line in picture.references:
        at = line.points or [(x, line.curve(x)) for x in positions(axes, series) if line.curve]
        ends.append(reference(axes, series, at, line.label))
    if picture.front:
        height_of = scale.height if scale else own_value
        axes.plot(
            [point.n for _, point in picture.front],
            [height_of(line, point) for line, point in picture.front],
            color=GREY,
            linewidth=1.2,
            drawstyle="steps-post",
            zorder=1,
            label="front",
        )
    if zero:
        _with_zero(axes, picture)
    elif scale is None:
        scale_y(axes, picture.unit.tick, base=picture.unit.base)
    _marks(axes, picture, look)
    if ends:
        notes(axes, ends, look)
    if look.below:
        legend_below(axes, series, look)
        return figure
    legend(figure, axes, series, note_width=_note_width(picture.name) if ends else 0)
    return figure


def _note_width(name: str) -> int:
    """Of pictures that are no setting's, as those between runs, the usual one."""
    return PICTURES[name].note_width if name in PICTURES else PlotKind.note_width


def _with_zero(axes: Axes, picture: Picture) -> None:
    axes.set_ylim(-0.5, max(axes.get_ylim()[1], 4.0))
    locator = SymmetricalLogLocator(base=picture.unit.base, linthresh=1)
    locator.set_params(numticks=9)
    axes.yaxis.set_major_locator(locator)
    axes.yaxis.set_major_formatter(lambda value, _: picture.unit.tick(value))


def _marks(axes: Axes, picture: Picture, look: FigureLook) -> None:
    """Vertical lines with their words along them; none where points stand side by side."""
    low, high = axes.get_xlim()
    for mark in picture.marks:
        if low < mark.x < high:
            axes.axvline(mark.x, color=GREY, linewidth=0.9, linestyle=(0, (1, 2)), zorder=1, label=mark.words)
            axes.annotate(
                mark.words,
                (mark.x, 0),
                xycoords=("data", "axes fraction"),
                xytext=(-3, 4),
                textcoords="offset points",
                rotation=90,
                ha="right",
                va="bottom",
                fontsize=min(8.0, look.note),
                color=DARK,
                parse_math=False,
            ).set_in_layout(False)


def picture_of(name: str, source: Source, title: str | None = None, samples: Samples | None = None) -> Picture | None:
    """The picture of that name of the records of one setting; None where there is nothing to show.

    Args:
        name: One of PICTURES.
        source: Of one problem, operator, batch, dtype, device, workload, threads and seed.
        title: Instead of the setting's own.
        samples: Raw samples by case, for "samples".

    Raises:
        UsageError: The records are of several settings; names the columns that differ.
    """
    setting, records = _only(source)
    return None if setting is None else PICTURES[name].build(setting, records, title or setting.title(), samples or {})


def _plot(name: str) -> Callable[..., Figure | None]:
    def plot(
        source: Source, title: str | None = None, samples: Samples | None = None, width_inches: float | None = None
    ) -> Figure | None:
        picture = picture_of(name, source, title, samples)
        return None if picture is None else draw_picture(picture, width_inches)

    plot.__doc__ = f"The picture {name}, drawn; arguments and errors as of `picture_of`."
    return plot


PLOTS: Mapping[str, Callable[..., Figure | None]] = MappingProxyType({name: _plot(name) for name in PICTURES})


def write_plots(
    source: Source,
    directory: Path,
    samples: Samples | None = None,
    names: Iterable[str] | None = None,
    width_inches: float | None = None,
) -> list[Path]:
    """Plots of every setting, and of every n over B, as PNG, SVG and PDF, 8 by 5 inches; one without data is left out.

    Args:
        source: Records.
        directory: Where to; made if need be.
        samples: Raw samples by case, for the plot "samples".
        names: Of the plots; all, unless given.
        width_inches: Of each, see `draw_picture`.

    Returns:
        The files written, `<operator>-<problem>[-<what else differs>]-<plot>.png`, `.svg` and `.pdf`; over B
        `over-b-<plot>`.
    """
    records = to_records(source)
    settings = by_setting(records)
    differing = varying(settings)
    asked = list(PLOTS if names is None else names)
    # A row each: the beginning of the file names, the title, the records, the plots.
    drawn = [(file_stem(one, differing), one.title(also=differing), own, asked) for one, own in settings.items()]
    over_b = [name for name in asked if name in PICTURES and PICTURES[name].over_batches]
    for sweep in batch_sweeps(records) if over_b else ():
        stem = file_stem(sweep.setting, [name for name in differing if name != "batch"])
        drawn.append((f"{stem}-over-b", sweep.title(also=differing), [*sweep.records], over_b))
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for stem, title, own, wanted in drawn:
        for name in wanted:
            figure = PLOTS[name](own, title, samples, width_inches)
            if figure is not None:
                written += save(figure, directory / f"{stem}-{name}")
    return written


def save(figure: Figure, stem: Path) -> list[Path]:
    """A figure as STEM.png, STEM.svg and STEM.pdf; control characters in its texts are blanks, as SVG holds none."""
    for text in figure.findobj(Text):
        text.set_text("\n".join(map(printable, text.get_text().split("\n"))))
    paths = {kind: stem.with_name(f"{stem.name}.{kind}") for kind in METADATA}
    for kind, path in paths.items():
        write_figure(figure, path, kind)
    return list(paths.values())


def write_figure(figure: Figure, file: Path, kind: str) -> None:
    """A figure as a file of a kind of METADATA, with its fonts inside; the same figure gives the same bytes."""
    with matplotlib.rc_context(FONTS):
        drawn = io.BytesIO()
        figure.savefig(drawn, format=kind, dpi=DPI, metadata=METADATA[kind])
    write_whole(file, drawn.getvalue())


def file_stem(setting: Setting, differing: Sequence[str]) -> str:
    """The beginning of a file name, of [a-z0-9_.-] only, distinct for distinct settings.

    What is lost of a name in that alphabet is made up for by a hash of it.
    """
    prefix = {"batch": "b", "threads": "t", "seed": "s"}
    parts = [setting.operator, setting.problem]
    parts += [prefix.get(name, "") + str(getattr(setting, name)) for name in differing]
    stem = "-".join(slug(part) for part in parts)
    return stem if len(stem) <= MOST_STEM else f"{stem[:MOST_STEM]}-{hashlib.sha256(stem.encode()).hexdigest()[:8]}"


def slug(text: str) -> str:
    """The text in [a-z0-9_.-], distinct for distinct texts."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9_.]+", "-", plain).strip("-.")[:48]
    if slug and slug == text:
        return slug
    return "-".join(filter(None, (slug, hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8])))


def _only(source: Source) -> tuple[Setting | None, list[Record]]:
    """The one setting of the records, and they by n; (None, []) where there are none."""
    settings = by_setting(to_records(source))
    if len(settings) > 1:
        names = [name for name in SETTING if len({getattr(setting, name) for setting in settings}) > 1]
        raise UsageError(f"a plot shows one setting, got {len(settings)} that differ in {', '.join(names)}; choose one")
    return next(iter(settings.items()), (None, []))
