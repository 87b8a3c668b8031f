"""jacstrat list and jacstrat env."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from jacstrat.cli.app import app
from jacstrat.core.text import printable


@app.command("list")
def list_(what: Annotated[str, typer.Argument(help="problems, strategies or sweeps.")]) -> None:
    """What there is to choose from."""
    from jacstrat.cli import lists
    from jacstrat.cli.terminal import Terminal
    from jacstrat.core.errors import lookup

    lookup("list", what, lists.LISTS)
    lists.print_list(what, Terminal())


@app.command()
def env() -> None:
    """What machine this is, as JSON, and what is the matter with measuring on it."""
    import json

    from jacstrat.measure.environment import snapshot, warnings

    environment = snapshot()
    print(json.dumps(environment.to_json(), indent=2))
    for warning in warnings(environment):
        print(printable(f"warning: {warning}"), file=sys.stderr)
