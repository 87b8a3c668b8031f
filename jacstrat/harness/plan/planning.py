"""What a sweep would take, case by case, with nothing measured: predictions, and the table of them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from rich.console import Console
from rich.text import Text

from jacstrat.core.case import Case
from jacstrat.core.errors import UsageError
from jacstrat.harness.dispatch.job import limits_of
from jacstrat.harness.dispatch.lines import AFTER, End, end_of_line
from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.predict import Forecast, Prediction, forecasts_isolated
from jacstrat.harness.plan.sweep import Sweep
from jacstrat.report.analysis.units import format_bytes

INDENT = "    "


def plan(
    sweep: Sweep, assume_bytes: int | None = None, attend: Callable[[Case], object] = lambda case: None
) -> Generator[Forecast, None, None]:
    """The forecast of every case of the sweep, made in children that may die; nothing is measured or written.

    Args:
        sweep: What would be measured.
        assume_bytes: Memory that a case may take, on every device, whether it is here or not; None for this machine's,
            as in a run.
        attend: Told the case under way; called often.

    Yields:
        Every case in the order of a run. What a run would skip for a smaller n of its line is skipped here, too, but
        predicted; where the smaller n hung the prediction or exhausted it, there is none.

    Raises:
        UsageError: The sweep is none, or assume_bytes is not positive.
    """
    if assume_bytes is not None and assume_bytes <= 0:
        raise UsageError(f"the memory to assume must be more than 0 bytes, got {assume_bytes}")
    limits = limits_of(sweep)
    skipped: dict[Case, End] = {}
    failed: dict[Case, str] = {}
    for cell in sweep.cells():
        ended = {case: failed[_line_of(case)] for case in cell.cases if _line_of(case) in failed}
        part = replace(cell, strategies=tuple(case.strategy for case in cell.cases if case not in ended))
        memory_bytes = assume_bytes or (limits.memory_bytes if cell.device == "cpu" else None)
        yield from (Forecast(case, Prediction(reason=reason)) for case, reason in ended.items())

        def attend_to(name: str, cell: Cell = part) -> None:
            attend(cell.case(name))

        for forecast in forecasts_isolated(part, memory_bytes, limits.timeout_s, attend_to):
            line = _line_of(forecast.case)
            if end := skipped.get(line):
                forecast = forecast._replace(skip=end.reason, cause=end.cause)
            elif end := end_of_line(cell.n, "skipped", forecast.skip, forecast.cause):
                skipped[line] = end
            if forecast.death in AFTER:
                failed[line] = f"{forecast.death} at n = {cell.n}: {forecast.prediction.reason}"
            yield forecast


def print_plan(forecasts: Sequence[Forecast], console: Console) -> None:
    """The forecasts as tables of strategy and n, what is to be said of a case under its row, and the totals."""
    threads = len({forecast.case.threads for forecast in forecasts}) > 1
    groups: dict[Case, list[Forecast]] = {}
    for forecast in forecasts:
        groups.setdefault(replace(forecast.case, strategy="", n=0), []).append(forecast)
    for group in groups.values():
        console.print(Text(_title(group[0].case, threads), style="bold"))
        width = max(len("strategy"), *(len(forecast.case.strategy) for forecast in group))
        console.print(Text(_line(width, "strategy", "n", "peak", "FLOPs", "ops"), style="dim"))
        for strategy, row in groupby(sorted(group, key=_by_line(group)), key=lambda forecast: forecast.case.strategy):
            _print_line(strategy, row, width, console)
        console.print()
    _print_totals(forecasts, console)


def _by_line(group: Sequence[Forecast]) -> Callable[[Forecast], int]:
    """Strategies in the order in which they first come, each with its n together."""
    order = list(dict.fromkeys(forecast.case.strategy for forecast in group))
    return lambda forecast: order.index(forecast.case.strategy)


def _line_of(case: Case) -> Case:
    """What cases share that differ in n alone: a failure at n says something of larger n."""
    return replace(case, n=0)


def _title(case: Case, threads: bool) -> str:
    suffix = f", {case.threads} threads" if threads else ""
    return f"{case.problem} {case.operator}, B = {case.batch}, {case.dtype} on {case.device}, {case.workload}{suffix}"


def _print_line(strategy: str, row: Iterable[Forecast], width: int, console: Console) -> None:
    """The cases of one strategy; its name once, and each remark once."""
    said = ""
    for forecast in row:
        prediction = forecast.prediction
        peak = ("≥ " if prediction.is_bound else "") + format_bytes(prediction.peak_bytes)
        flops = "" if prediction.flops is None else f"{prediction.flops:.3g}"
        ops = "" if prediction.aten_ops is None else str(prediction.aten_ops)
        outcome = "skipped" if forecast.skip else "no prediction" if prediction.peak_bytes is None else ""
        n = str(forecast.case.n)
        console.print(Text(_line(width, strategy, n, peak, flops, ops, outcome)), soft_wrap=True)
        strategy = ""
        # What follows from a smaller n stands there.
        follows = forecast.cause == "after_memory"
        for remark in filter(None, ("" if follows else forecast.skip, prediction.reason)):
            if remark != said:
                text = textwrap.fill(remark, console.width, initial_indent=INDENT, subsequent_indent=INDENT)
                console.print(Text(text, style="dim"), soft_wrap=True)
            said = remark


def _line(width: int, strategy: str, n: str, peak: str, flops: str, ops: str, outcome: str = "") -> str:
    return f"{strategy:<{width}} {n:>7} {peak:>11} {flops:>9} {ops:>7}  {outcome}".rstrip()


def _print_totals(forecasts: Sequence[Forecast], console: Console) -> None:
    running = [forecast for forecast in forecasts if not forecast.skip]
    blind = sum(forecast.prediction.peak_bytes is None for forecast in running)
    counts = f"{len(forecasts)} cases: {len(forecasts) - len(running)} would be skipped, {blind} have no prediction."
    lines = [counts, _largest("Largest peak", forecasts)]
    if len(running) < len(forecasts):
        lines.append(_largest("Largest peak of those that would run", running))
    for line in filter(None, lines):
        console.print(Text(line), soft_wrap=True)


def _largest(words: str, forecasts: Sequence[Forecast]) -> str:
    peaks = {forecast.prediction.peak_bytes: forecast.case.key for forecast in reversed(forecasts)}
    peak = max(filter(None, peaks), default=None)
    return f"{words}: {format_bytes(peak)}, {peaks[peak]}" if peak else ""
