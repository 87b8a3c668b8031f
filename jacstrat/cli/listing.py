"""jacstrat list and jacstrat env."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from jacstrat.cli.app import app


@app.command("list")
def list_(what: Annotated[str, typer.Argument(help="problems, strategies or sweeps.")]) -> None:
    """What there is to choose from."""
    from rich.console import Console

    from jacstrat.core.errors import lookup
    from jacstrat.harness import listing

    lookup("list", what, listing.LISTS)
    listing.print_list(what, Console())


@app.command()
def env() -> None:
    """What machine this is, as JSON, and what is the matter with measuring on it."""
    import json

    from jacstrat.measure.environment import snapshot, warnings

    found = snapshot()
    print(json.dumps(found.to_json(), indent=2))
    for warning in warnings(found):
        print(f"warning: {warning}", file=sys.stderr)
