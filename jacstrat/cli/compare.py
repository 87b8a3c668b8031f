"""jacstrat compare."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jacstrat.cli.app import EXIT_NOTHING_MEASURED, app, complain, tell
from jacstrat.cli.compare_rev import compare_revisions, refuse_without_rev, selection_of
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
    one_of,
    several,
    whole_numbers,
)
from jacstrat.core.errors import UsageError
from jacstrat.core.text import printable
from jacstrat.core.whole import write_whole

if TYPE_CHECKING:
    from jacstrat.compare.inputs import RecordSet
    from jacstrat.compare.thresholds import Thresholds
    from jacstrat.compare.verdict import Comparison

FORMATS = ("table", "markdown", "json", "junit")
BASELINE = Path("results") / "baseline"


@app.command()
def compare(
    base: Annotated[
        Path | None, typer.Argument(metavar="BASE", help="Directory, records.csv or benchmark JSON.")
    ] = None,
    new: Annotated[Path | None, typer.Argument(metavar="NEW", help="As BASE: what is held against it.")] = None,
    slower: Annotated[str | None, typer.Option(help="Share by which a time may rise [5%].")] = None,
    thresholds: Annotated[Path | None, typer.Option(help="TOML file: such shares by problem, strategy, case.")] = None,
    strict_time: Annotated[
        bool, typer.Option("--strict-time", help="SLOWER makes the exit code 1, though measured apart.")
    ] = False,
    same_cases: Annotated[bool, typer.Option("--same-cases", help="So do cases that one side lacks.")] = False,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="BASE is results/baseline; NEW, unless given, is counted now.")
    ] = False,
    update_baseline: Annotated[
        bool, typer.Option("--update-baseline", help="The same, and then NEW becomes the baseline.")
    ] = False,
    form: Annotated[str, typer.Option("--format", help="table, markdown, json or junit.")] = "table",
    out: Annotated[Path | None, typer.Option(help="File that takes the output.")] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG, SVG or PDF of the ratios of times.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also the cases in which nothing moved.")] = False,
    rev: Annotated[
        bool, typer.Option("--rev", help="BASE and NEW are revisions, measured now; NEW unless given the working tree.")
    ] = False,
    sweep: Annotated[str | None, typer.Option(help="With --rev: a shipped sweep or a TOML file [quick].")] = None,
    problem: Problems = None,
    operator: Operators = None,
    strategy: Strategies = None,
    n: Inputs = None,
    batch: Points = None,
    dtype: Dtypes = None,
    device: Devices = None,
    workload: Workloads = None,
    threads: Annotated[str | None, typer.Option(help="With --rev: threads torch computes with [1].")] = None,
    seed: Seed = None,
    timeout: Annotated[float | None, typer.Option(help="With --rev: seconds for one step of a case [30].")] = None,
    time_limit: Annotated[float | None, typer.Option(help="With --rev: seconds for all times [600].")] = None,
    install: Annotated[
        bool, typer.Option("--install", help="With --rev: an environment of its own for each revision.")
    ] = False,
    keep: Annotated[Path | None, typer.Option(help="With --rev: directory for what was measured.")] = None,
) -> None:
    """Verdicts on two sets of records: what became wrong, dearer or slower."""
    from jacstrat.compare.thresholds import load_thresholds

    one_of("format", form, FORMATS)
    held = load_thresholds(thresholds, slower)
    show = partial(_conclude, held=held, form=form, out=out, plot=plot, everything=everything)
    measuring = {
        "--sweep": sweep,
        "--problem": problem,
        "--operator": operator,
        "--strategy": strategy,
        "-n": n,
        "--batch": batch,
        "--dtype": dtype,
        "--device": device,
        "--workload": workload,
        "--threads": threads,
        "--seed": seed is not None,
        "--timeout": timeout is not None,
        "--time-limit": time_limit is not None,
        "--install": install,
        "--keep": keep,
    }
    if not rev:
        refuse_without_rev(measuring)
    elif base is None or baseline or update_baseline:
        raise UsageError("--rev needs a revision to compare with, such as main, and no --baseline")
    else:
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
        of_new = None if new is None else str(new)
        found = compare_revisions(str(base), of_new, selection, held, time_limit, timeout, install, keep)
        show(found)
        raise typer.Exit(found.exit_code)
    _of_records(base, new, baseline or update_baseline, update_baseline, strict_time, same_cases, held, show)


def _of_records(
    base: Path | None,
    new: Path | None,
    whole: bool,
    update_baseline: bool,
    strict_time: bool,
    same_cases: bool,
    held: Thresholds,
    show: Callable[[Comparison], None],
) -> None:
    """Compare two sets of records; with `whole` the baseline, with what is counted now where nothing is given."""
    from jacstrat.compare.comparison import compare as judge
    from jacstrat.compare.inputs import read_side
    from jacstrat.compare.verdict import NothingToCompareError

    counted_now = whole and base is None
    with ExitStack() as opened:
        if whole:
            base, new = _of_the_baseline(base, new, opened)
        elif base is None or new is None:
            raise UsageError("compare needs two sets of records, BASE and NEW; or --baseline for the committed one")
        before = _baseline(base, update_baseline) if whole else read_side(base)
        after = read_side(new)
        if counted_now:
            after = replace(after, label="this checkout")
        comparison = None
        try:
            if before is not None:
                comparison = judge(before, after, held, strict_time, same_cases or whole)
        except NothingToCompareError as error:
            if not update_baseline:
                complain(str(error))
                raise typer.Exit(EXIT_NOTHING_MEASURED) from None
            before = None
        if comparison is not None:
            show(comparison)
        if update_baseline:
            _update(base, new, before, after, comparison)
            return
    if comparison is not None:
        raise typer.Exit(comparison.exit_code)


def _conclude(
    comparison: Comparison, held: Thresholds, form: str, out: Path | None, plot: Path | None, everything: bool
) -> None:
    """The comparison as it was asked for, and its plot."""
    if plot is not None:
        from jacstrat.compare.plot import write_plot

        write_plot(comparison, plot, held.slower)
    _tell(comparison, form, out, everything)


def _of_the_baseline(base: Path | None, new: Path | None, opened: ExitStack) -> tuple[Path, Path]:
    """The baseline, and what is held against it: the one directory that is named, or one that is counted now."""
    if new is not None:
        raise UsageError(f"--baseline is BASE itself; name NEW alone, or leave out --baseline, got {base} and {new}")
    if base is not None:
        return BASELINE, base
    from tempfile import TemporaryDirectory

    from jacstrat.cli.run import measure
    from jacstrat.harness.plan.sweep import load_sweep

    directory = Path(opened.enter_context(TemporaryDirectory(prefix="jacstrat-"))) / "now"
    # One thread, so that every machine has these cases.
    measure(load_sweep("quick").override(timed=False, threads=(1,)), directory)
    return BASELINE, directory


def _baseline(directory: Path, to_write: bool) -> RecordSet | None:
    """What the baseline holds; None where it is to be written and there is none, or none that this version reads."""
    from jacstrat.compare.inputs import read_side

    try:
        return read_side(directory)
    except UsageError as error:
        if not to_write:
            raise UsageError(f"{error}; `jacstrat compare --update-baseline` writes the baseline") from None
        print(printable(f"the baseline is written from nothing: {error}"), file=sys.stderr)
        return None


def _tell(comparison: Comparison, form: str, out: Path | None, everything: bool) -> None:
    """The comparison in the form asked for, on the terminal or in a file, and in the summary of a CI step."""
    from jacstrat.cli.terminal import Terminal
    from jacstrat.compare.exports import to_json, to_junit
    from jacstrat.compare.tables import print_comparison, to_markdown

    if form == "table" and out is None:
        print_comparison(comparison, Terminal(), everything)
        _summarise(comparison)
        return
    if form == "table":
        from io import StringIO

        text = StringIO()
        print_comparison(comparison, Terminal(file=text, width=120), everything)
        content = text.getvalue()
    elif form == "markdown":
        content = to_markdown(comparison, everything)
    else:
        content = to_json(comparison) if form == "json" else to_junit(comparison)
    if out is None:
        print(content, end="")
        _summarise(comparison)
        return
    from jacstrat.compare.wording import conclusion

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, content)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror or error}; name another with --out") from None
    tell(f"{conclusion(comparison)} Written to {out}.")
    _summarise(comparison)


def _summarise(comparison: Comparison) -> None:
    """Add the comparison to the summary of a step in CI; one that cannot be written changes no verdict."""
    from jacstrat.compare.tables import to_markdown

    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with open(summary, "a", encoding="utf-8", errors="replace") as file:
                file.write(to_markdown(comparison))
        except OSError as error:
            print(printable(f"warning: no summary in {summary}: {error.strerror or error}"), file=sys.stderr)


def _update(
    directory: Path, source: Path, before: RecordSet | None, after: RecordSet, comparison: Comparison | None
) -> None:
    from jacstrat.compare.baseline import update_baseline

    written = update_baseline(directory, before, after, source, comparison)
    total = len(after.by_case)
    if before is None:
        tell(f"{directory} is new: {total} cases")
    elif written:
        tell(f"{directory} is written: {written} of {total} cases moved, as above; review the diff and commit it")
    else:
        tell(f"{directory} stays as it is: nothing moved in {total} cases")
