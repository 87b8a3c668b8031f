"""jacstrat compare."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jacstrat.cli.app import EXIT_NOTHING_MEASURED, app, complain, tell
from jacstrat.cli.spelling import COMPARE, ComparingCommand
from jacstrat.cli.verdicts import Everything, Format, Out, Plot, Presentation, Slower, ThresholdFile
from jacstrat.core.errors import UsageError
from jacstrat.core.text import printable

if TYPE_CHECKING:
    from jacstrat.compare.inputs import RecordSet
    from jacstrat.compare.thresholds import Thresholds
    from jacstrat.compare.verdict import Comparison

BASELINE = Path("results") / "baseline"


@app.command(COMPARE, cls=ComparingCommand)
def compare(
    base: Annotated[
        Path | None, typer.Argument(metavar="BASE", help="Directory, records.csv or benchmark JSON.")
    ] = None,
    new: Annotated[Path | None, typer.Argument(metavar="NEW", help="As BASE: what is held against it.")] = None,
    slower: Slower = None,
    thresholds: ThresholdFile = None,
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
    form: Format = "table",
    out: Out = None,
    plot: Plot = None,
    everything: Everything = False,
) -> None:
    """Verdicts on two sets of records: what became wrong, dearer or slower."""
    from jacstrat.compare.thresholds import load_thresholds

    presentation = Presentation(form, out, plot, everything)
    limits = load_thresholds(thresholds, slower)
    if baseline or update_baseline:
        _of_baseline(base, new, update_baseline, limits, strict_time, presentation)
    else:
        _of_records(base, new, limits, strict_time, same_cases, presentation)


def _of_records(
    base: Path | None,
    new: Path | None,
    thresholds: Thresholds,
    strict_time: bool,
    same_cases: bool,
    presentation: Presentation,
) -> None:
    """Compare two sets of records."""
    from jacstrat.compare import comparison
    from jacstrat.compare.inputs import read_side
    from jacstrat.compare.verdict import NothingToCompareError

    if base is None or new is None:
        raise UsageError("compare needs two sets of records, BASE and NEW; or --baseline for the committed one")
    try:
        compared = comparison.compare(read_side(base), read_side(new), thresholds, strict_time, same_cases)
    except NothingToCompareError as error:
        complain(str(error))
        raise typer.Exit(EXIT_NOTHING_MEASURED) from None
    presentation.show(compared, thresholds.slower)
    raise typer.Exit(compared.exit_code)


def _of_baseline(
    base: Path | None,
    new: Path | None,
    update: bool,
    thresholds: Thresholds,
    strict_time: bool,
    presentation: Presentation,
) -> None:
    """Compare a set of records with the baseline; with `update` it becomes the baseline."""
    from jacstrat.compare import comparison
    from jacstrat.compare.inputs import read_side
    from jacstrat.compare.verdict import NothingToCompareError

    if new is not None:
        raise UsageError(f"--baseline is BASE itself; name NEW alone, or leave out --baseline, got {base} and {new}")
    before = _baseline_to_update() if update else _baseline()
    with nullcontext(base) if base is not None else _counted_now() as source:
        after = read_side(source)
        if base is None:
            after = replace(after, label="this checkout")
        compared = None
        if before is not None:
            try:
                compared = comparison.compare(before, after, thresholds, strict_time, same_cases=True)
            except NothingToCompareError as error:
                if not update:
                    complain(str(error))
                    raise typer.Exit(EXIT_NOTHING_MEASURED) from None
                before = None
        if compared is not None:
            presentation.show(compared, thresholds.slower)
        if update:
            _update(source, before, after, compared)
        elif compared is not None:
            raise typer.Exit(compared.exit_code)


@contextmanager
def _counted_now() -> Iterator[Path]:
    """The directory of the quick sweep, counted now; it is gone after the block."""
    from tempfile import TemporaryDirectory

    from jacstrat.cli.run import measure
    from jacstrat.harness.plan.sweep import load_sweep

    with TemporaryDirectory(prefix="jacstrat-") as temporary:
        directory = Path(temporary) / "now"
        # One thread, so that every machine has these cases.
        measure(load_sweep("quick").override(timed=False, threads=(1,)), directory)
        yield directory


def _baseline() -> RecordSet:
    from jacstrat.compare.inputs import read_side

    try:
        return read_side(BASELINE)
    except UsageError as error:
        raise UsageError(f"{error}; `jacstrat compare --update-baseline` writes the baseline") from None


def _baseline_to_update() -> RecordSet | None:
    """What the baseline holds; None where there is none, or none that this version reads."""
    from jacstrat.compare.inputs import read_side

    try:
        return read_side(BASELINE)
    except UsageError as error:
        print(printable(f"the baseline is written from nothing: {error}"), file=sys.stderr)
        return None


def _update(source: Path, before: RecordSet | None, after: RecordSet, comparison: Comparison | None) -> None:
    from jacstrat.compare.baseline import update_baseline

    written = update_baseline(BASELINE, before, after, source, comparison)
    total = len(after.by_case)
    if before is None:
        tell(f"{BASELINE} is new: {total} cases")
    elif written:
        tell(f"{BASELINE} is written: {written} of {total} cases moved, as above; review the diff and commit it")
    else:
        tell(f"{BASELINE} stays as it is: nothing moved in {total} cases")
