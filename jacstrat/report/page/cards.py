"""The small multiples of the page: a card each, with what it is of, what it says, and its drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from jacstrat.report.analysis.cross_run import sides
from jacstrat.report.analysis.runs import Run
from jacstrat.report.analysis.setting import Setting
from jacstrat.report.analysis.units import listed
from jacstrat.report.figures.beside import LABELS, Beside, besides
from jacstrat.report.figures.small import Small, places, small_of
from jacstrat.report.page.panels import Numbering
from jacstrat.report.page.strip import strip
from jacstrat.report.page.svg import SMALL, svg

MOST_OTHERS = 3
"""Of B, or n, that are named; of more the number is."""
MOST_CARDS = 24
"""Cards of a run; what is beyond is named."""


@dataclass(frozen=True)
class Chip:
    """A word that tells settings apart at a glance, and the class of its look."""

    look: str
    words: str


@dataclass(frozen=True)
class PageCard:
    """A small multiple on the page."""

    title: str
    chips: tuple[Chip, ...]
    answer: str
    faults: str
    svg: Markup
    more: str
    device: str
    size: str


def chips(setting: Setting) -> tuple[Chip, ...]:
    """Device, dtype and workload of a setting: each kind has a look of its own."""
    device = "cpu" if setting.device == "cpu" else "gpu"
    name = "CPU" if device == "cpu" else setting.device.replace("cuda", "GPU").replace("mps", "GPU")
    workload = setting.workload if setting.workload in ("evaluate", "train") else "other"
    dtype = setting.dtype if setting.dtype in ("float32", "float64") else "narrow"
    return Chip(device, name), Chip(dtype, setting.dtype), Chip(workload, setting.workload)


def chips_of(settings: Sequence[Setting]) -> tuple[Chip, ...]:
    """Every chip of several settings once, devices first."""
    columns = zip(*map(chips, settings), strict=True) if settings else ()
    return tuple(dict.fromkeys(chip for column in columns for chip in column))


def cards_of(run: Run, numbers: Numbering, most: int = MOST_CARDS) -> tuple[tuple[PageCard, ...], int]:
    """The cards of a run, and how many there are not room for."""
    groups = places(run.records)
    return tuple(_card(small_of(group), numbers) for group in groups[:most]), max(len(groups) - most, 0)


@dataclass(frozen=True)
class Row:
    """The cards of one setting on several sides."""

    title: str
    label: str
    cards: tuple[PageCard, ...]


def rows_of(runs: Sequence[Run], numbers: Numbering, most: int = MOST_CARDS) -> tuple[tuple[Row, ...], int]:
    """What several runs have in common, side by side, and how many settings there is not room for."""
    figures = besides(sides(runs))
    return tuple(_row(one, numbers) for one in figures[:most]), max(len(figures) - most, 0)


def _row(beside: Beside, numbers: Numbering) -> Row:
    cards = []
    for picture in beside.pictures:
        setting = picture.setting
        label = f"{LABELS[beside.column]}: {setting.name}, {picture.title}"
        drawing = Markup(svg(picture, numbers, label, SMALL))
        cards.append(
            PageCard(picture.title, chips(setting), "", "", drawing, f"B = {setting.batch}", _look(setting), "n")
        )
    name = beside.setting.name
    words = beside.setting.words(["dtype", "workload", "batch"])
    return Row(f"{name[:1].upper()}{name[1:]}, {words}", LABELS[beside.column], tuple(cards))


def _look(setting: Setting) -> str:
    return chips(setting)[0].look


def _card(small: Small, numbers: Numbering) -> PageCard:
    picture, statement = small.picture, small.statement
    setting = picture.setting
    label = f"Time of one call: {picture.title}. {statement.answer}"
    alone = len({point.n for line in picture.series for point in line.points}) == 1
    drawing = strip(picture, numbers, label) if alone else svg(picture, numbers, label, SMALL)
    title = f"{setting.name[:1].upper()}{setting.name[1:]}"
    more = small.fixed_words + (f" ({_others(small)} below)" if small.others else "")
    return PageCard(
        title, chips(setting), statement.answer, statement.faults, Markup(drawing), more, _look(setting), setting.size
    )


def _others(small: Small) -> str:
    """What is not drawn, in words: "B = 1 and 4", "5 more B"."""
    if len(small.others) > MOST_OTHERS:
        return f"{len(small.others)} more {small.fixed_letter}"
    return f"{small.fixed_letter} = {listed(map(str, small.others))}"
