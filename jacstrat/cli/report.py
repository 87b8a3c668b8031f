"""jacstrat report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jacstrat.cli.app import EXIT_NOTHING_MEASURED, app

if TYPE_CHECKING:
    from rich.console import Console


@app.command()
def report(directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of a run.")]) -> None:
    """Tables and plots from the records of a run."""
    from rich.console import Console

    show(directory, Console())


def show(directory: Path, console: Console) -> None:
    """Plots on disk, the tables and findings on the console; ends with exit code 3 where nothing was measured."""
    from jacstrat.records import PLOTS, read_records
    from jacstrat.report.findings import print_findings
    from jacstrat.report.plots import write_plots

    frame = read_records(directory)
    measured = frame["median_s"].notna().any()
    plots = write_plots(frame, directory / PLOTS)
    print_findings(frame, console)
    console.print(
        f"{len(frame)} cases in {directory / 'records.csv'}, {len(plots)} plots in {directory / PLOTS}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    if not measured:
        console.print("nothing was measured", highlight=False)
        raise typer.Exit(EXIT_NOTHING_MEASURED)
