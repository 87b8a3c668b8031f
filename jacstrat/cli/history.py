"""jacstrat history."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jacstrat.cli.app import app, tell
from jacstrat.core.errors import UsageError

STORE = Path("results") / "history.sqlite"


@app.command()
def history(
    action: Annotated[str | None, typer.Argument(help="add, to take in results; nothing, to show them.")] = None,
    directories: Annotated[list[Path] | None, typer.Argument(metavar="DIR", help="Directories of results.")] = None,
    store: Annotated[Path, typer.Option(help="File of the store.")] = STORE,
    commit: Annotated[str | None, typer.Option(help="Commit that DIR measured, where it does not say.")] = None,
    measure: Annotated[str | None, typer.Option(help="What to show: cost_ratio, median_s, aten_ops, ...")] = None,
    case: Annotated[str, typer.Option(help="Cases to show, a pattern such as 'sin/*'.")] = "*",
    plot: Annotated[Path | None, typer.Option(help="Directory for a plot of each case.")] = None,
    csv: Annotated[Path | None, typer.Option(help="File for everything in the store.")] = None,
) -> None:
    """What became of every case over the commits, and at which it changed."""
    if action is None:
        _show(store, measure, case, plot, csv)
    elif action == "add":
        _add(directories or [], store, commit)
    else:
        raise UsageError(f"history has one action, add, got {action!r}; `jacstrat history add DIR` takes in results")


def _add(directories: list[Path], store: Path, commit: str | None) -> None:
    from jacstrat.history import store as stores
    from jacstrat.revisions.git import known_commit

    if not directories:
        raise UsageError("history add needs a directory of results; `jacstrat run` writes one")
    sides = [side for directory in directories for side in stores.directories(directory)]
    if commit is not None and len(sides) > 1:
        raise UsageError(f"--commit is that of one directory, there are {len(sides)}; add them one by one")
    with stores.opened(store) as opened:
        for directory in sides:
            commit_there, date = stores.commit_in(directory)
            # A repository at hand knows the full hash, and when it was committed.
            full, committed = known_commit(Path.cwd(), commit or commit_there)
            added = opened.add(directory, full if commit else None, date or committed)
            if added is None:
                tell(f"{directory} is in {store} already")
            else:
                run, cases = added
                changes = " with changes" if run.dirty else ""
                tell(f"{directory}: {cases} cases of {run.commit[:10]}{changes} added to {store}")


def _show(store: Path, measure: str | None, pattern: str, plot: Path | None, csv: Path | None) -> None:
    from jacstrat.cli.terminal import Terminal
    from jacstrat.history.lines import lines_of, measure_of
    from jacstrat.history.show import table, write_plots
    from jacstrat.history.store import opened

    console = Terminal()
    with opened(store, must_exist=True) as history:
        frame = history.frame()
    if csv is not None:
        csv.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(csv, index=False)
    lines, notes = lines_of(frame, measure or measure_of(frame), pattern)
    console.print(table(lines))
    for note in notes:
        console.say(note, style="dim")
    if plot is not None:
        written = write_plots(lines, plot)
        console.say(f"{len(written)} plots in {plot}")
