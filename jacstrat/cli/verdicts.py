"""A comparison as it is asked for: on the terminal, in a file, as a plot, and in the summary of a CI step."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jacstrat.cli.app import tell
from jacstrat.cli.options import one_of
from jacstrat.core.errors import UsageError
from jacstrat.core.text import printable
from jacstrat.core.whole import write_whole

if TYPE_CHECKING:
    from jacstrat.compare.verdict import Comparison

FORMATS = ("table", "markdown", "json", "junit")

# The options of both commands that compare.
Slower = Annotated[str | None, typer.Option(help="Share by which a time may rise [5%].")]
ThresholdFile = Annotated[Path | None, typer.Option(help="TOML file: such shares by problem, strategy, case.")]
Format = Annotated[str, typer.Option("--format", help="table, markdown, json or junit.")]
Out = Annotated[Path | None, typer.Option(help="File that takes the output.")]
Plot = Annotated[Path | None, typer.Option(help="PNG, SVG or PDF of the ratios of times.")]
Everything = Annotated[bool, typer.Option("--all", help="Also the cases in which nothing moved.")]


@dataclass(frozen=True)
class Presentation:
    """How a comparison is to be shown.

    Fields:
        form: One of FORMATS.
        out: A file that takes it; None for standard output.
        plot: A file for the plot of the ratios of times; None for none.
        everything: Also the cases in which nothing moved.

    Raises:
        JacstratError: There is no such form.
    """

    form: str
    out: Path | None
    plot: Path | None
    everything: bool

    def __post_init__(self) -> None:
        one_of("format", self.form, FORMATS)

    def show(self, comparison: Comparison, slower: float) -> None:
        """Show it; `slower` is the share by which a time may rise, a line of the plot."""
        if self.plot is not None:
            from jacstrat.compare.plot import write_plot

            write_plot(comparison, self.plot, slower)
        if self.out is not None:
            self._write(comparison, self.out)
        elif self.form == "table":
            from jacstrat.cli.terminal import Terminal
            from jacstrat.compare.tables import print_comparison

            print_comparison(comparison, Terminal(), self.everything)
        else:
            print(self.content(comparison), end="")
        summarise(comparison)

    def content(self, comparison: Comparison) -> str:
        """The text of a file."""
        from jacstrat.cli.terminal import Terminal
        from jacstrat.compare.exports import to_json, to_junit
        from jacstrat.compare.tables import print_comparison, to_markdown

        if self.form == "markdown":
            return to_markdown(comparison, self.everything)
        if self.form == "json":
            return to_json(comparison)
        if self.form == "junit":
            return to_junit(comparison)
        table = StringIO()
        print_comparison(comparison, Terminal(file=table, width=120), self.everything)
        return table.getvalue()

    def _write(self, comparison: Comparison, file: Path) -> None:
        from jacstrat.compare.wording import conclusion

        content = self.content(comparison)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, content)
        except OSError as error:
            raise UsageError(f"{file} cannot be written: {error.strerror or error}; name another with --out") from None
        tell(f"{conclusion(comparison)} Written to {file}.")


def summarise(comparison: Comparison) -> None:
    """Add the comparison to the summary of a step in CI; one that cannot be written changes no verdict."""
    from jacstrat.compare.tables import to_markdown

    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with open(summary, "a", encoding="utf-8", errors="replace") as file:
                file.write(to_markdown(comparison))
        except OSError as error:
            print(printable(f"warning: no summary in {summary}: {error.strerror or error}"), file=sys.stderr)
