"""The program: its application, which each command's file adds itself to, and its exit codes."""

from __future__ import annotations

import sys

import typer

from jacstrat.core.errors import JacstratError

EXIT_REGRESSION, EXIT_USAGE, EXIT_NOTHING_MEASURED, EXIT_BECAME_WRONG, EXIT_INTERRUPTED = 1, 2, 3, 4, 130

app = typer.Typer(
    name="jacstrat",
    help="Measure every way to contract the Jacobian of a PyTorch function.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """The program `jacstrat`: a wrong use is one line and exit code 2."""
    try:
        app()
    except JacstratError as error:
        print(f"jacstrat: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
