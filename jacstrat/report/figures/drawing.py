"""The plots of runs as files: which ones, where to, and how many are too many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from jacstrat.core.errors import lookup
from jacstrat.records import PLOTS_DIRECTORY
from jacstrat.report.analysis.cross_run import sides
from jacstrat.report.analysis.noisy_times import noisy_times
from jacstrat.report.analysis.runs import Run
from jacstrat.report.analysis.setting import by_setting, varying
from jacstrat.report.figures.beside import BESIDE, besides, draw_beside
from jacstrat.report.figures.cross_run import cross_run_pictures
from jacstrat.report.figures.multiples import draw_smalls
from jacstrat.report.figures.plots import PLOTS, draw_picture, file_stem, save, slug, write_plots
from jacstrat.report.figures.roofline import SPLIT
from jacstrat.report.figures.small import smalls
from jacstrat.report.figures.split import draw_split, splits
from jacstrat.report.figures.winnermap import draw_map, winner_maps
from jacstrat.samples import read_samples

ANSWER, WINNER_MAP, CROSS_RUN, SAMPLES = "answer", "winner-map", "between", "samples"
FIRST = (ANSWER, WINNER_MAP, BESIDE)
"""What the page shows first, and what is drawn unasked."""
NAMES = (*FIRST, *PLOTS, SPLIT, CROSS_RUN)
CHOICES = {"first": FIRST, "all": NAMES}
MOST_SETTINGS, MOST_CASES = 40, 10_000
"""Of more settings or cases no plots are drawn unless they are asked for by name: a file takes a fifth of a second."""


def too_many(run: Run) -> bool:
    """The run has more settings or cases than are drawn unasked."""
    return len(run.records) > MOST_CASES or len(by_setting(run.records)) > MOST_SETTINGS


def check_names(names: Iterable[str]) -> tuple[str, ...]:
    """The names, each of which is of a plot.

    Raises:
        UsageError: One is not; suggests the nearest ones.
    """
    known = dict.fromkeys(NAMES)
    for name in (asked := tuple(names)):
        lookup("plot", name, known)
    return asked


def draw_plots(runs: Sequence[Run], names: Iterable[str] = (), width_inches: float | None = None) -> list[Path]:
    """Draw plots, PNG, SVG and PDF, into `plots/` of the directory of each run; those of several runs into the first's.

    Args:
        runs: One or several.
        names: Of NAMES; without any those of FIRST, but of a run that has too many settings none.
        width_inches: Of each; 8 unless given.

    Raises:
        UsageError: There is no plot of such a name; suggests the nearest ones.
    """
    asked = check_names(names)
    written = []
    for run in runs:
        if asked or not too_many(run):
            written += _draw_run(run, asked or FIRST, width_inches)
    if len(runs) > 1:
        written += _draw_sides(runs, asked or FIRST, width_inches)
    return written


def _draw_run(run: Run, names: Sequence[str], width_inches: float | None) -> list[Path]:
    directory = run.directory / PLOTS_DIRECTORY
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    if ANSWER in names:
        for number, figure in enumerate(draw_smalls(smalls(run.records), width_inches), start=1):
            written += save(figure, directory / (ANSWER if number == 1 else f"{ANSWER}-{number}"))
    if WINNER_MAP in names:
        maps = winner_maps(run.records)
        differing = [name for name in varying(winner_map.setting for winner_map in maps) if name != "batch"]
        for grid in maps:
            stem = f"{file_stem(grid.setting, differing)}-{WINNER_MAP}"
            written += save(draw_map(grid, width_inches), directory / stem)
    if SPLIT in names:
        divided = splits(run.records)
        differing = list(varying(split.setting for split in divided))
        for one_split in divided:
            written += save(
                draw_split(one_split, width_inches), directory / f"{file_stem(one_split.setting, differing)}-{SPLIT}"
            )
    if plain := [name for name in names if name in PLOTS]:
        doubtful = {noisy_time.record.case for noisy_time in noisy_times(run.records)} if SAMPLES in names else ()
        samples = read_samples(run.directory, doubtful)
        written += write_plots(run.records, directory, samples, plain, width_inches)
    return written


def _draw_sides(runs: Sequence[Run], names: Sequence[str], width_inches: float | None) -> list[Path]:
    """What shows several runs at once."""
    directory, compared = runs[0].directory / PLOTS_DIRECTORY, sides(runs)
    written = []
    if BESIDE in names and not any(map(too_many, runs)):
        figures = besides(compared)
        differing = varying(one.setting for one in figures)
        for one in figures:
            written += save(draw_beside(one, width_inches), directory / f"{file_stem(one.setting, differing)}-{BESIDE}")
    if CROSS_RUN in names:
        pictures = cross_run_pictures(compared)
        differing = varying(picture.setting for _, picture in pictures)
        for label, picture in pictures:
            stem = f"{file_stem(picture.setting, differing)}-{CROSS_RUN}-{slug(label)}"
            written += save(draw_picture(picture, width_inches), directory / stem)
    return written
