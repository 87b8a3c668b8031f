"""jacstrat compare --rev: two revisions measured side by side."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from jacstrat.cli.app import EXIT_INTERRUPTED, EXIT_NOTHING_MEASURED, complain
from jacstrat.core.errors import UsageError
from jacstrat.core.text import printable

if TYPE_CHECKING:
    from jacstrat.compare.thresholds import Thresholds
    from jacstrat.compare.verdict import Comparison
    from jacstrat.revisions.survey import Selection


def compare_revisions(
    base: str,
    new: str | None,
    selection: Selection,
    held: Thresholds,
    time_limit_s: float | None,
    step_s: float | None,
    install: bool,
    keep: Path | None,
) -> Comparison:
    """Measure two revisions of the repository that the working directory is in, and judge them.

    Args:
        base, new: Revisions; None for the working tree.
        selection: Which cases.
        held: How much slower is too slow.
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
        raise UsageError("--rev forks processes, which Windows cannot; use WSL, or compare two directories")
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

                measured = revisions.measure(revision_pair, selection, held, limits, attend=attend)
            if keep is not None:
                write(keep, measured.trees, measured.survey, measured.interleaved.blocks)
            return revisions.verdicts(measured, held)
    except KeyboardInterrupt:
        print("interrupted; nothing is left of either revision", file=sys.stderr)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except (BuildError, DiedError, RefusedError, NothingToCompareError) as error:
        complain(f"nothing was measured: {error}")
        raise typer.Exit(EXIT_NOTHING_MEASURED) from None


def _can_be_made(directory: Path) -> bool:
    """Whether a directory can be made and written, as far as the nearest one that is there tells, before measuring."""
    there = next(place for place in (directory.absolute(), *directory.absolute().parents) if place.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


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


def refuse_without_rev(given: Mapping[str, object]) -> None:
    """Refuse options that choose what is measured, where nothing is.

    Raises:
        UsageError: One of them is given.
    """
    for option, value in given.items():
        if value:
            raise UsageError(f"{option} is for --rev, which measures; two sets of records are as they are")


def _from_here(problem: str) -> str:
    place, colon, attribute = problem.rpartition(":")
    if not place.endswith(".py") or not Path(place).is_absolute():
        return problem
    from jacstrat.revisions.git import repository

    here = Path.cwd().resolve()
    inside = Path(place).resolve().is_relative_to(repository(here))
    return f"{os.path.relpath(Path(place).resolve(), here)}{colon}{attribute}" if inside else problem


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
