"""The plots of runs as files: which ones, where to, and how many are too many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from jacstrat.core.errors import lookup
from jacstrat.records import PLOTS as DIRECTORY
from jacstrat.report.between import between_pictures, sides
from jacstrat.report.doubt import doubts
from jacstrat.report.plots import PLOTS, draw_picture, file_stem, save, slug, write_plots
from jacstrat.report.runs import Run
from jacstrat.report.setting import by_setting, varying
from jacstrat.report.winnermap import draw_map, winner_maps
from jacstrat.samples import read_samples

WINNER_MAP, BETWEEN, SAMPLES = "winner-map", "between", "samples"
NAMES = (*PLOTS, WINNER_MAP, BETWEEN)
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


def draw_plots(runs: Sequence[Run], names: Iterable[str] = ()) -> list[Path]:
    """Draw plots, PNG and SVG, into `plots/` of the directory of each run; those between runs into that of the first.

    Args:
        runs: One or several.
        names: Of NAMES; without any all, but of a run that has too many settings none.

    Raises:
        UsageError: There is no plot of such a name; suggests the nearest ones.
    """
    asked = check_names(names)
    written = []
    for run in runs:
        if asked or not too_many(run):
            written += _draw_run(run, asked or NAMES)
    if BETWEEN in (asked or NAMES):
        pictures = between_pictures(sides(runs))
        differing = varying(picture.setting for _, picture in pictures)
        for label, picture in pictures:
            stem = f"{file_stem(picture.setting, differing)}-{BETWEEN}-{slug(label)}"
            written += save(draw_picture(picture), runs[0].directory / DIRECTORY / stem)
    return written


def _draw_run(run: Run, names: Sequence[str]) -> list[Path]:
    directory = run.directory / DIRECTORY
    doubtful = {doubt.record.case for doubt in doubts(run.records)} if SAMPLES in names else ()
    samples = read_samples(run.directory, doubtful)
    written = write_plots(run.records, directory, samples, [name for name in names if name in PLOTS])
    if WINNER_MAP in names:
        maps = winner_maps(run.records)
        differing = [name for name in varying(found.setting for found in maps) if name != "batch"]
        for found in maps:
            written += save(draw_map(found), directory / f"{file_stem(found.setting, differing)}-{WINNER_MAP}")
    return written
