"""jacstrat compare-rev: two revisions measured side by side."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jacstrat.cli.app import EXIT_INTERRUPTED, EXIT_NOTHING_MEASURED, app, complain
from jacstrat.cli.options import (
    Devices,
    Dtypes,
    Inputs,
    Operators,
    Points,
    Problems,
    Seed,
    Strategies,
    Workloads,
    several,
    whole_numbers,
)
from jacstrat.cli.spelling import COMPARE_REV, ComparingCommand
from jacstrat.cli.verdicts import Everything, Format, Out, Plot, Presentation, Slower, ThresholdFile
from jacstrat.core.errors import UsageError
from jacstrat.core.text import printable

if TYPE_CHECKING:
    from jacstrat.compare.thresholds import Thresholds
    from jacstrat.compare.verdict import Comparison
    from jacstrat.revisions.survey import Selection


@app.command(COMPARE_REV, cls=ComparingCommand)
def compare_rev(
    base: Annotated[str | None, typer.Argument(metavar="BASE_REV", help="Revision, such as main or v1.0.")] = None,
    new: Annotated[
        str | None, typer.Argument(metavar="NEW_REV", help="What is held against it; the working tree unless given.")
    ] = None,
    slower: Slower = None,
    thresholds: ThresholdFile = None,
    form: Format = "table",
    out: Out = None,
    plot: Plot = None,
    everything: Everything = False,
    sweep: Annotated[str | None, typer.Option(help="A shipped sweep or a TOML file; quick unless given.")] = None,
    problem: Problems = None,
    operator: Operators = None,
    strategy: Strategies = None,
    n: Inputs = None,
    batch: Points = None,
    dtype: Dtypes = None,
    device: Devices = None,
    workload: Workloads = None,
    threads: Annotated[str | None, typer.Option(help="Threads torch computes with [1].")] = None,
    seed: Seed = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds for one step of a case [30].")] = None,
    time_limit: Annotated[float | None, typer.Option(help="Seconds for all times [600].")] = None,
    install: Annotated[bool, typer.Option("--install", help="An environment of its own for each revision.")] = False,
    keep: Annotated[Path | None, typer.Option(help="Directory for what was measured.")] = None,
) -> None:
    """Verdicts on two revisions, which are measured now, side by side."""
    from jacstrat.compare.thresholds import load_thresholds

    presentation = Presentation(form, out, plot, everything)
    limits = load_thresholds(thresholds, slower)
    if base is None:
        raise UsageError("compare-rev needs a revision to compare with, such as main")
    selection = selection_of(
        sweep,
        problem,
        strategy,
        operators=operator,
        n=whole_numbers("-n", n),
        batch=whole_numbers("--batch", batch),
        dtype=several(dtype),
        device=several(device),
        workload=several(workload),
        threads=whole_numbers("--threads", threads) or (1,),
        seed=seed,
    )
    comparison = compare_revisions(base, new, selection, limits, time_limit, timeout, install, keep)
    presentation.show(comparison, limits.slower)
    raise typer.Exit(comparison.exit_code)


def compare_revisions(
    base: str,
    new: str | None,
    selection: Selection,
    thresholds: Thresholds,
    time_limit_s: float | None,
    step_s: float | None,
    install: bool,
    keep: Path | None,
) -> Comparison:
    """Measure two revisions of the repository that the working directory is in, and judge them.

    Args:
        base, new: Revisions; None for the working tree.
        selection: Which cases.
        thresholds: How much slower is too slow.
        time_limit_s: For the times of all cases.
        step_s: A side that does not answer for so long is ended.
        install: An environment of its own for each.
        keep: Directory for what was measured.

    Raises:
        UsageError: There is no such revision or case, or `keep` has results already.
        typer.Exit: With 3 where a revision cannot be measured, with 130 after Ctrl-C.
    """
    from jacstrat.cli.terminal import Terminal
    from jacstrat.compare.verdict import NothingToCompareError
    from jacstrat.revisions import compare as revisions
    from jacstrat.revisions.install import BuildError
    from jacstrat.revisions.interleave import RoundLimits
    from jacstrat.revisions.processes import DiedError, RefusedError
    from jacstrat.revisions.results import write

    if sys.platform == "win32":
        raise UsageError("compare-rev forks processes, which Windows cannot; use WSL, or compare two directories")
    for option, value in (("--time-limit", time_limit_s), ("--timeout", step_s)):
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"{option} must be more than 0 seconds, got {value:g}")
    if keep is not None and any((keep / side).exists() for side in ("base", "new")):
        raise UsageError(f"{keep} holds results already; name another with --keep")
    if keep is not None and not _can_be_made(keep):
        raise UsageError(f"{keep} cannot be made or written; name another with --keep")
    limits = RoundLimits(
        time_s=RoundLimits.time_s if time_limit_s is None else time_limit_s,
        step_s=RoundLimits.step_s if step_s is None else step_s,
    )
    try:
        with _status(Terminal(stderr=True)) as say:
            with revisions.revision_pair_of(Path.cwd(), base, new, limits.step_s, install, _tell) as revision_pair:

                def attend(case: str, pair: int | None) -> None:
                    say(f"counts and errors: {case}" if pair is None else f"pair of processes {pair + 1}: {case}")

                measured = revisions.measure(revision_pair, selection, thresholds, limits, attend=attend)
            if keep is not None:
                write(keep, measured.trees, measured.survey, measured.interleaved.blocks)
            return revisions.verdicts(measured, thresholds)
    except KeyboardInterrupt:
        print("interrupted; nothing is left of either revision", file=sys.stderr)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except (BuildError, DiedError, RefusedError, NothingToCompareError) as error:
        complain(f"nothing was measured: {error}")
        raise typer.Exit(EXIT_NOTHING_MEASURED) from None


def _can_be_made(directory: Path) -> bool:
    """Whether a directory can be made and written, as far as the nearest one that is there tells, before measuring."""
    absolute = directory.absolute()
    nearest = next(folder for folder in (absolute, *absolute.parents) if folder.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def selection_of(sweep: str | None, problems: list[str] | None, strategies: list[str] | None, **over: Any) -> Selection:
    """What the options choose, in words that both revisions understand.

    A sweep file is the user's, the same for both; a problem's file is that of each revision, so that it is named from
    the working directory.
    """
    from jacstrat.revisions.survey import Selection

    if sweep is not None and sweep.endswith(".toml"):
        if not Path(sweep).is_file():
            raise UsageError(f"sweep file {sweep} does not exist")
        sweep = str(Path(sweep).resolve())
    return Selection(
        sweep=sweep,
        problems=tuple(_from_here(problem) for problem in problems or ()),
        strategies=tuple(strategies or ()),
        over={name: value for name, value in over.items() if value is not None},
    )


def _from_here(problem: str) -> str:
    file, colon, attribute = problem.rpartition(":")
    if not file.endswith(".py") or not Path(file).is_absolute():
        return problem
    from jacstrat.revisions.git import repository

    here = Path.cwd().resolve()
    inside = Path(file).resolve().is_relative_to(repository(here))
    return f"{os.path.relpath(Path(file).resolve(), here)}{colon}{attribute}" if inside else problem


def _tell(line: str) -> None:
    """Say what takes minutes, also where there is no terminal."""
    print(printable(line), file=sys.stderr)


@contextmanager
def _status(console: Any) -> Iterator[Any]:
    """A line on the terminal that says what is under way; silent where there is no terminal."""
    from rich.markup import escape

    status = console.status("checking out")

    def say(text: str) -> None:
        status.update(escape(printable(text)))

    with status:
        yield say
