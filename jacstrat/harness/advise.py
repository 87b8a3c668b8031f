"""Advice for one function at one size: the structure, what `auto` chooses, and every strategy measured beside it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from rich.console import Console
from rich.text import Text

from jacstrat.core.case import Case, F
from jacstrat.core.errors import UsageError
from jacstrat.core.operator import OPERATORS, Operator, parse_operator
from jacstrat.harness.cell.failures import failure
from jacstrat.harness.cell.measuring import measure
from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.cell.setup import Attend, instantiate, reason_to_skip
from jacstrat.harness.cell.surroundings import surroundings
from jacstrat.harness.dispatch.isolation import isolated
from jacstrat.harness.dispatch.job import limits_of
from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.sweep import Sweep
from jacstrat.measure.sampling import Settings
from jacstrat.record import Record
from jacstrat.report.analysis.advice import AUTO, FunctionFacts, Kind, advice_table, considered_table, recommendation
from jacstrat.strategies import default_strategies, parse_strategy
from jacstrat.structure import detect_structure

# Every strategy with its defaults that needs no compiler, and what is worth its place beside them.
SPECS = (*default_strategies(), "jvp:chunk_size=all")


@dataclass(frozen=True)
class Advice:
    """What was measured, and what is known beside; no evidence where the child that looked for it died."""

    records: tuple[Record, ...]
    evidence: FunctionFacts | None

    @property
    def measured(self) -> bool:
        return any(record.median_s is not None for record in self.records)


def cell_to_advise(sweep: Sweep) -> Cell:
    """The one cell of a sweep, with those of its strategies that serve the operator.

    Raises:
        UsageError: The sweep has several sizes, or is none.
    """
    cells = sweep.cells()
    lone = {(cell.problem, cell.n, cell.batch, cell.dtype, cell.device, cell.workload, cell.threads) for cell in cells}
    if len(lone) > 1:
        raise UsageError("advice is for one problem at one size; `jacstrat run` compares several")
    # A field without an operator asked for: its divergence.
    cell = cells[0]
    specs = [spec for spec in cell.strategies if _serves(spec, cell.operator)]
    return Cell(**{**vars(cell), "strategies": tuple(specs)})


def advise(sweep: Sweep, attend: Callable[[Case], object] = lambda case: None) -> Advice:
    """Measure the strategies of the sweep's one cell in an isolated child, and look for the structure there.

    Args:
        sweep: A problem at one size, the strategies to measure, and how long; nothing is written.
        attend: Told the case under way; called often.
    """
    sweep = sweep.pinned()
    cell = cell_to_advise(sweep)
    work = partial(examine, settings=Settings(limit_s=sweep.sample_s))
    messages = list(isolated(work, _parse, Outcome.of, cell, limits_of(sweep), lambda name: attend(cell.case(name))))
    evidence = next((one for one in messages if isinstance(one, FunctionFacts)), None)
    records = tuple(one.record for one in messages if isinstance(one, Outcome) and one.record is not None)
    return Advice(records, evidence)


def examine(
    cell: Cell, settings: Settings, attend: Attend = lambda name: None
) -> Generator[FunctionFacts | Outcome, None, None]:
    """The evidence, then `harness.cell.measuring.measure`; without the evidence where a child before this one died of
    it."""
    if AUTO in cell.strategies and not reason_to_skip(cell):
        attend(F)
        with surroundings(cell):
            yield _evidence(cell, attend)
    yield from measure(cell, settings, attend)


def _parse(cell: Cell, data: Any) -> FunctionFacts | Outcome:
    return FunctionFacts.parse(data) if "evidence" in data else Outcome.parse(cell, data)


def print_advice(advice: Advice, console: Console, explain: bool = False) -> None:
    """The evidence, the table, and the sentence; with `explain` what `auto` chose among, too."""
    kinds = _kinds()
    if advice.evidence:
        console.print(Text(f"structure: {advice.evidence.structure}"))
        console.print(Text(f"auto: {advice.evidence.reason}"))
        console.print()
        if explain and advice.evidence.considered:
            console.print(considered_table(advice.evidence.considered))
            console.print()
    console.print(advice_table(advice.records, kinds, advice.evidence))
    console.print()
    console.print(Text(recommendation(advice.records, kinds, advice.evidence), style="bold"))


def _evidence(cell: Cell, attend: Attend) -> FunctionFacts:
    try:
        instance = instantiate(cell, cell.device)
        attend(AUTO)
        operator = instance.operator(cell.operator)
        structure = detect_structure(instance.f, instance.x, _of_matrix(operator), instance.args)
    except (Exception, SystemExit) as error:
        return FunctionFacts(f"none found: {failure(error)[1]}", reason=failure(error)[1])
    why = f"; {structure.reason}" if structure.reason else ""
    known: dict[str, Any] = {
        "structure": f"{structure}{why}",
        "proved": structure.source == "traced",
        "diagonal": structure.kind == "diagonal",
    }
    attend(AUTO)
    try:
        prepared = parse_strategy(AUTO).prepare(operator, instance.f, instance.x, args=instance.args)
    except (Exception, SystemExit) as error:
        return FunctionFacts(**known, reason=failure(error)[1])
    return FunctionFacts(**known, chosen=prepared.strategy.spec, reason=prepared.reason, considered=prepared.considered)


def _of_matrix(operator: Operator) -> Operator:
    """The operator of all of J or H that this one is of."""
    return operator.plain if operator.order < 4 else OPERATORS["laplacian"]


def _serves(spec: str, operator: str) -> bool:
    return parse_strategy(spec).refuse(parse_operator(operator)) is None


def _kinds() -> Mapping[str, Kind]:
    strategies = map(parse_strategy, SPECS)
    return {one.spec: Kind(one.exact_when, one.stochastic) for one in strategies}
