"""jacstrat merge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jacstrat.cli.app import app, tell


@app.command()
def merge(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR", help="Directories of runs of one sweep.")],
    out: Annotated[Path, typer.Option(help="Directory for the result.")],
    file_format: Annotated[
        str | None, typer.Option("--format", help="csv or parquet; csv up to 100000 rows unless given.")
    ] = None,
) -> None:
    """One directory of several: the shards of a sweep, or parts that were measured apart."""
    from jacstrat.harness.merge import merge

    merged = merge(directories, out, file_format)
    tell(f"{merged.rows} cases of {len(directories)} directories in {merged.file}")
    if merged.overlapping:
        tell(f"{merged.overlapping} cases were in more than one directory; the row of the one named first is kept")
    if merged.missing:
        tell(f"{merged.missing} cases of the sweep are missing; jacstrat run --resume --out {out} measures them")
