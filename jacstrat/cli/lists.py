"""What there is to choose from: problems, strategies, sweeps; an entry each, readable at any width."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from inspect import getdoc
from types import MappingProxyType

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from jacstrat.harness.plan.sweep import load_sweep, shipped_sweeps
from jacstrat.problems import PROBLEMS
from jacstrat.strategies import ALIASES, STRATEGIES
from jacstrat.strategies.base import form


@dataclass(frozen=True)
class ListEntry:
    """One thing to choose: its name, what there is to know at a glance, and what it is."""

    name: str
    facts: str
    lines: tuple[str, ...] = ()


def strategies() -> Iterator[ListEntry]:
    """Each strategy: its cost in products, when it is exact, its parameters with their defaults, what it does."""
    for kind in STRATEGIES.values():
        parameters = "".join(f"; {p.name}={p.default}" for p in fields(kind))
        summary = " ".join((getdoc(kind) or "").split("\n\n")[0].split())
        yield ListEntry(form(kind), f"{kind.cost}; exact: {kind.exact_when}{parameters}", (summary,))
    for name, strategy in ALIASES.items():
        yield ListEntry(name, f"another name of {strategy.spec}, for the Laplacian")


def problems() -> Iterator[ListEntry]:
    """Each problem: its operators, structure, formula, answer and origin."""
    for name, problem in PROBLEMS.items():
        facts = f"{', '.join(problem.operators)}; {problem.structure}"
        answer = f"{problem.operators[0]}: {problem.answer}"
        yield ListEntry(name, facts, (problem.formula, answer, f"from {problem.origin}"))


def sweeps() -> Iterator[ListEntry]:
    """Each shipped sweep: how many cases, and of which problems."""
    for name in shipped_sweeps():
        cells = load_sweep(name).cells()
        cases = sum(len(cell.strategies) for cell in cells)
        named = ", ".join(dict.fromkeys(cell.problem for cell in cells))
        yield ListEntry(name, f"{cases} cases in {len(cells)} cells", (named,))


LISTS: Mapping[str, Callable[[], Iterator[ListEntry]]] = MappingProxyType(
    {"problems": problems, "strategies": strategies, "sweeps": sweeps}
)


def print_list(what: str, console: Console) -> None:
    """The entries of one of LISTS."""
    for entry in LISTS[what]():
        console.print(Text.assemble((entry.name, "bold"), "  ", (entry.facts, "dim")))
        for line in entry.lines:
            console.print(Padding(Text(line), (0, 0, 0, 4)))
