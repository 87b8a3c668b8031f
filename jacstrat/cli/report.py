"""jacstrat report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jacstrat.cli.app import EXIT_NOTHING_MEASURED, app

if TYPE_CHECKING:
    from jacstrat.report.runs import Run
    from jacstrat.report.terminal import Terminal


@app.command()
def report(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR", help="Directories of runs.")],
    plot: Annotated[list[str] | None, typer.Option(help="Draw only this plot: time, cost-ratio, ...")] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="Print the findings as markdown, csv, json or latex, and no more.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File of the page [DIR/report.html].")] = None,
) -> None:
    """Tables, plots and a page from the records of a run, or of several side by side."""
    from jacstrat.core.errors import UsageError
    from jacstrat.report.terminal import Terminal

    if form is not None and (plot or out):
        raise UsageError(f"--format {form} prints and writes nothing; leave out {'--plot' if plot else '--out'}")
    if plot and out:
        raise UsageError("--plot draws into DIR/plots and writes no page; leave out --out")
    if form is not None:
        _print(directories, form)
    elif plot:
        _draw(directories, plot, Terminal())
    else:
        show(directories, Terminal(), out)


def show(directories: Sequence[Path], console: Terminal, out: Path | None = None) -> None:
    """Plots and the page on disk, the findings on the console; ends with exit code 3 where nothing was measured."""
    from jacstrat.records import PAGE, PLOTS, records_file
    from jacstrat.report.drawing import MOST_CASES, MOST_SETTINGS, draw_plots, too_many
    from jacstrat.report.findings import print_told
    from jacstrat.report.formats import told
    from jacstrat.report.page.write import write_page
    from jacstrat.report.runs import read_runs

    runs = read_runs(directories)
    page = out or runs[0].directory / (PAGE if len(runs) == 1 else f"beside-{PAGE}")
    try:
        print_told(told(runs), console)
    finally:
        # Also where nobody reads the findings, or the terminal is gone.
        plots = draw_plots(runs)
        write_page(runs, page)
    for run in runs:
        directory = run.directory / PLOTS
        drawn = f"{sum(path.parent == directory for path in plots)} plots in {directory}"
        if too_many(run):
            drawn = f"no plots of more than {MOST_SETTINGS} settings or {MOST_CASES} cases unless --plot names one"
        cases = f"{len(run.records)} cases in {records_file(run.directory)}, {drawn}"
        console.say(f"{cases}, the page in {page}" if len(runs) == 1 else cases)
    if len(runs) > 1:
        console.say(f"the page in {page}")
    _end(runs, console)


def _draw(directories: Sequence[Path], names: Sequence[str], console: Terminal) -> None:
    from jacstrat.report.drawing import check_names, draw_plots
    from jacstrat.report.runs import read_runs

    asked = check_names(names)
    runs = read_runs(directories)
    written = draw_plots(runs, asked)
    for path in written:
        console.say(str(path))
    if not written:
        console.say(f"nothing to show in a plot of {' or '.join(names)}")
    _end(runs, console)


def _print(directories: Sequence[Path], form: str) -> None:
    import sys

    from jacstrat.core.errors import lookup
    from jacstrat.report.formats import FORMATS
    from jacstrat.report.runs import read_runs

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

    found = Counter(read_records(directory)["status"])
    told = ", ".join(f"{count} {status}" for status, count in found.most_common())
    console.say(f"{found.total()} cases in {records_file(directory)}, counted and not timed: {told}")
    if not found["ok"] + found["wrong"]:
        console.say("nothing was measured")
        raise typer.Exit(EXIT_NOTHING_MEASURED)
