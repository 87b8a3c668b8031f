"""What there is to choose from, as tables: problems, strategies, sweeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from inspect import getdoc
from types import MappingProxyType

from rich.markup import escape
from rich.table import Table

from jacstrat.harness.sweep import load_sweep, shipped_sweeps
from jacstrat.problems import PROBLEMS
from jacstrat.strategies import ALIASES, STRATEGIES


def strategies() -> Table:
    """Each strategy: its cost in products, when it is exact, its parameters with their defaults."""
    table = _table("strategy", "parameters", "cost", "exact when", "what it does")
    for name, kind in STRATEGIES.items():
        parameters = ", ".join(f"{p.name}={p.default}" for p in fields(kind))
        summary = (getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")
        table.add_row(*map(escape, (name, parameters, kind.cost, kind.exact_when, summary)))
    for name, strategy in ALIASES.items():
        table.add_row(name, "", "", "", f"another name of {strategy.spec}")
    return table


def problems() -> Table:
    """Each problem: its kind, structure, formula and answer."""
    table = _table("problem", "operators", "structure", "formula", "answer")
    for name, problem in PROBLEMS.items():
        table.add_row(
            *map(escape, (name, ", ".join(problem.operators), problem.structure, problem.formula, problem.answer))
        )
    return table


def sweeps() -> Table:
    """Each shipped sweep: its cases and where its file is."""
    table = _table("sweep", "cells", "cases", "problems")
    for name in shipped_sweeps():
        cells = load_sweep(name).cells()
        cases = sum(len(cell.strategies) for cell in cells)
        table.add_row(name, str(len(cells)), str(cases), ", ".join(dict.fromkeys(cell.problem for cell in cells)))
    return table


def _table(*columns: str) -> Table:
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == columns[0])
    return table


LISTS: Mapping[str, Callable[[], Table]] = MappingProxyType(
    {"problems": problems, "strategies": strategies, "sweeps": sweeps}
)
