"""jacstrat report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jacstrat.cli.app import EXIT_NOTHING_MEASURED, app

if TYPE_CHECKING:
    from jacstrat.cli.terminal import Terminal
    from jacstrat.report.analysis.runs import Run


@app.command()
def report(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR", help="Directories of runs.")],
    plot: Annotated[list[str] | None, typer.Option(help="Draw only this plot: time, cost-ratio, ...")] = None,
    plots: Annotated[str, typer.Option(help="What to draw into files: first, what the page shows first, or all.")] = (
        "first"
    ),
    width: Annotated[str | None, typer.Option(help="Width of a plot: 3.4in, 86mm [8in].")] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="Print the findings as markdown, csv, json or latex, and no more.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File of the page; DIR/report.html unless given.")] = None,
) -> None:
    """Tables, plots and a page from the records of a run, or of several side by side."""
    from jacstrat.cli.terminal import Terminal
    from jacstrat.core.errors import UsageError

    if form is not None and (plot or out or width):
        extra = "--plot" if plot else "--out" if out else "--width"
        raise UsageError(f"--format {form} prints and writes nothing; leave out {extra}")
    if plot and out:
        raise UsageError("--plot draws into DIR/plots and writes no page; leave out --out")
    if plot and plots != "first":
        raise UsageError("--plot draws the plots that it names and no others; leave out --plots")
    if form is not None:
        _print(directories, form)
        return
    from jacstrat.report.figures.look import parse_width

    width_inches = None if width is None else parse_width(width)
    if plot:
        _draw(directories, plot, Terminal(), width_inches)
    else:
        show(directories, Terminal(), out, plots, width_inches)


def show(
    directories: Sequence[Path],
    console: Terminal,
    out: Path | None = None,
    plots: str = "first",
    width_inches: float | None = None,
    brief: bool = False,
) -> None:
    """Plots and the page on disk, headline and findings on the console; exit code 3 where nothing was measured.

    Args:
        directories: Of one run or several.
        console: Where to.
        out: File of the page.
        plots: A key of `report.figures.drawing.CHOICES`.
        width_inches: Of the plots.
        brief: After the headline at most a screen of what was found.
    """
    from jacstrat.core.errors import lookup
    from jacstrat.records import PAGE, PLOTS_DIRECTORY, records_file
    from jacstrat.report.analysis.cross_run import agreement, sides
    from jacstrat.report.analysis.findings import print_headline, print_screen, print_told
    from jacstrat.report.analysis.formats import blocks_of
    from jacstrat.report.analysis.runs import read_runs
    from jacstrat.report.figures.drawing import CHOICES, FIRST, MOST_CASES, MOST_SETTINGS, draw_plots, too_many
    from jacstrat.report.page.write import write_page

    names = lookup("choice of --plots", plots, CHOICES)
    runs = read_runs(directories)
    page = out or runs[0].directory / (PAGE if len(runs) == 1 else f"beside-{PAGE}")
    try:
        for run in runs:
            print_headline(run.label if len(runs) > 1 else "", run.title, run.headline, console)
        if agreed := agreement(sides(runs)) if len(runs) > 1 else "":
            console.print(f"{agreed}\n", markup=False, highlight=False)
        if brief:
            print_screen(blocks_of(runs), console, f"jacstrat report {' '.join(map(str, directories))}")
        else:
            print_told(blocks_of(runs), console)
    finally:
        # Also where nobody reads the findings, or the terminal is gone.
        drawn_files = draw_plots(runs, () if names == FIRST else names, width_inches)
        write_page(runs, page)
    for run in runs:
        directory = run.directory / PLOTS_DIRECTORY
        drawn = f"{sum(path.parent == directory for path in drawn_files)} plots in {directory}"
        if too_many(run) and names == FIRST:
            drawn = f"no plots of more than {MOST_SETTINGS} settings or {MOST_CASES} cases unless --plot names one"
        cases = f"{len(run.records)} cases in {records_file(run.directory)}, {drawn}"
        console.say(f"{cases}, the page in {page}" if len(runs) == 1 else cases)
    if len(runs) > 1:
        console.say(f"the page in {page}")
    _end(runs, console)


def _draw(directories: Sequence[Path], names: Sequence[str], console: Terminal, width_inches: float | None) -> None:
    from jacstrat.report.analysis.runs import read_runs
    from jacstrat.report.figures.drawing import check_names, draw_plots
    from jacstrat.report.figures.roofline import absent

    asked = check_names(names)
    runs = read_runs(directories)
    written = draw_plots(runs, asked, width_inches)
    for path in written:
        console.say(str(path))
    if not written:
        console.say(f"nothing to show in a plot of {' or '.join(names)}")
        records = [record for run in runs for record in run.records]
        for reason in filter(None, (absent(name, records) for name in names)):
            console.say(reason)
    _end(runs, console)


def _print(directories: Sequence[Path], form: str) -> None:
    import sys

    from jacstrat.core.errors import lookup
    from jacstrat.report.analysis.formats import FORMATS
    from jacstrat.report.analysis.runs import read_runs

    write = lookup("format", form, FORMATS)
    runs = read_runs(directories)
    sys.stdout.write(write(runs))
    _end(runs, None)


def _end(runs: Sequence[Run], console: Terminal | None) -> None:
    if not any(record.median_s is not None for run in runs for record in run.records):
        if console:
            console.say("nothing was measured")
        raise typer.Exit(EXIT_NOTHING_MEASURED)


def show_counts(directory: Path, console: Terminal) -> None:
    """How many cases of a run without times ended how; ends with exit code 3 where no case was counted."""
    from collections import Counter

    from jacstrat.records import read_records, records_file

    statuses = Counter(read_records(directory)["status"])
    counts = ", ".join(f"{count} {status}" for status, count in statuses.most_common())
    console.say(f"{statuses.total()} cases in {records_file(directory)}, counted and not timed: {counts}")
    if not statuses["ok"] + statuses["wrong"]:
        console.say("nothing was measured")
        raise typer.Exit(EXIT_NOTHING_MEASURED)
