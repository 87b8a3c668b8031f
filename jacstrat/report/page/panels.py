"""The plots of the page: a section a quantity, in it a panel a setting and run, in it a figure a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from jacstrat.record import Record
from jacstrat.report.analysis.batches import batch_sweeps
from jacstrat.report.analysis.cross_run import sides
from jacstrat.report.analysis.runs import Run
from jacstrat.report.analysis.setting import Setting, by_setting, varying
from jacstrat.report.figures.cross_run import cross_run_pictures
from jacstrat.report.figures.picture import Picture
from jacstrat.report.figures.plots import PICTURES
from jacstrat.report.figures.roofline import SPLIT
from jacstrat.report.figures.samples import Samples
from jacstrat.report.figures.series import Curve
from jacstrat.report.figures.split import Split, splits
from jacstrat.report.page.bars import bars
from jacstrat.report.page.svg import svg
from jacstrat.samples import read_samples

MOST_POINTS = 25_000
"""Points drawn on a page, about 4 MB of it; settings beyond are named."""

LABELS = {name: kind.label for name, kind in PICTURES.items()} | {
    SPLIT: "Where the time goes",
    "between": "Between runs",
}


class Numbering(dict[str, int]):
    """The number of a strategy on the page; one that is asked for the first time gets the next."""

    def __call__(self, strategy: str) -> int:
        return self.setdefault(strategy, len(self))


@dataclass(frozen=True)
class PanelFigure:
    """A picture on the page: its name for the script, and its words and its drawing."""

    name: str
    label: str
    title: str
    answer: str
    svg: Markup


@dataclass(frozen=True)
class LegendEntry:
    """A strategy in a legend.

    Fields:
        number, strategy: Which.
        wrong: It is drawn as wrong in the first figure that it is in.
        figures: The names of the figures that it is in.
        remarks: (name of a figure, line): what the legend of that figure says besides; the script shows those of the
            figure that is chosen, and without it those of the first figure that has any are seen.
    """

    number: int
    strategy: str
    wrong: bool
    figures: tuple[str, ...]
    remarks: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Panel:
    """The figures of one setting of one run, with one legend."""

    id: str
    title: str
    figures: tuple[PanelFigure, ...]
    legend: tuple[LegendEntry, ...]


@dataclass(frozen=True)
class Section:
    """The panels of an operator of a problem."""

    id: str
    title: str
    panels: tuple[Panel, ...]


def sections_of(runs: Sequence[Run], numbers: Numbering, most: int = MOST_POINTS) -> tuple[tuple[Section, ...], str]:
    """The sections, and a sentence that says which settings were left out; "" where none was.

    Args:
        runs: One, or several: then the runs beside each other stand first in each section.
        numbers: Numbers the strategies.
        most: Points to draw.
    """
    pictures = _Drawn(most, numbers)
    panels: dict[str, list[Panel]] = {}
    for _, picture in cross_run_pictures(sides(runs)):
        pictures.add(panels, picture.setting, picture.title, [picture])
    settings = [(run, setting, group) for run in runs for setting, group in by_setting(run.records).items()]
    differing = varying(setting for _, setting, _ in settings)
    over_b = [name for name, kind in PICTURES.items() if kind.over_batches]
    for run, sweep in [(each, sweep) for each in runs for sweep in batch_sweeps(each.records)]:
        title = sweep.title(also=differing) + (f": {run.label}" if len(runs) > 1 else "")
        if pictures.full or len(sweep.records) > most:
            pictures.left_out.append(title)
            continue
        pictures.add(panels, sweep.setting, title, _pictures(sweep.setting, sweep.records, title, {}, over_b))
    samples: dict[str, Samples] = {}
    for run, setting, group in settings:
        title = setting.title(also=differing) + (f": {run.label}" if len(runs) > 1 else "")
        if pictures.full or len(group) > most:
            pictures.left_out.append(title)
            continue
        if run.label not in samples:
            samples[run.label] = read_samples(run.directory, {d.record.case for d in run.doubts})
        of_setting = _pictures(setting, group, title, samples[run.label])
        pictures.add(panels, setting, title, of_setting, splits(group))
    sections = tuple(
        Section(f"q{number}", name[:1].upper() + name[1:], tuple(several))
        for number, (name, several) in enumerate(panels.items())
    )
    return sections, _left_out(pictures.left_out)


def _pictures(
    setting: Setting, records: Sequence[Record], title: str, samples: Samples, names: Iterable[str] = PICTURES
) -> list[Picture]:
    pictures = (PICTURES[name].build(setting, records, title, samples) for name in names)
    return [picture for picture in pictures if picture is not None]


def _left_out(titles: Sequence[str]) -> str:
    if not titles:
        return ""
    named = "; ".join(titles[:8]) + (f"; and {len(titles) - 8} more" if len(titles) > 8 else "")
    return (
        f"Not drawn here, for the size of this page: {named}. `jacstrat report DIR --plot time` draws them into files."
    )


class _Drawn:
    """Panels as they are drawn, until there are too many points."""

    def __init__(self, most: int, numbers: Numbering) -> None:
        self.left = most
        self.numbers = numbers
        self.left_out: list[str] = []
        self.count = 0

    @property
    def full(self) -> bool:
        return self.left <= 0

    def add(
        self,
        panels: dict[str, list[Panel]],
        setting: Setting,
        title: str,
        pictures: Sequence[Picture],
        divided: Sequence[Split] = (),
    ) -> None:
        """A panel of these pictures and splits, unless there is none, or not enough room for it."""
        points = sum(len(line.points) for picture in pictures for line in picture.series)
        if not pictures:
            return
        if points > self.left:
            self.left_out.append(title)
            return
        self.left -= points
        figures = tuple(self._figure(picture, title) for picture in pictures)
        figures += tuple(self._split(split) for split in divided)
        panels.setdefault(setting.name, []).append(
            Panel(f"p{self.count}", title, figures, tuple(self._legend(pictures)))
        )
        self.count += 1

    def _figure(self, picture: Picture, title: str) -> PanelFigure:
        label = LABELS[picture.name]
        drawing = svg(picture, self.numbers, f"{label}: {picture.title}. {picture.answer}")
        # The title of the panel is not said again; what a picture adds to it, such as its n, is.
        words = label + picture.title.removeprefix(title) if picture.title.startswith(title) else picture.title
        return PanelFigure(picture.name, label, words, picture.answer, Markup(drawing))

    def _split(self, split: Split) -> PanelFigure:
        label = LABELS[SPLIT]
        drawing = Markup(bars(split, self.numbers, f"{label}: {split.title}. {split.answer}"))
        return PanelFigure(SPLIT, label, f"{label}, n = {split.n}", split.answer, drawing)

    def _legend(self, pictures: Sequence[Picture]) -> Iterable[LegendEntry]:
        """Every strategy of the pictures once, with what each of them says of it."""
        drawn: dict[str, list[tuple[str, Curve]]] = {}
        for picture in pictures:
            for line in picture.series:
                drawn.setdefault(line.strategy, []).append((picture.name, line))
        for strategy, lines in drawn.items():
            remarks = tuple((name, words) for name, line in lines for words in line.remark.splitlines())
            yield LegendEntry(
                self.numbers(strategy), strategy, lines[0][1].wrong, tuple(name for name, _ in lines), remarks
            )
