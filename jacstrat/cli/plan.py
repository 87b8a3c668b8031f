"""jacstrat plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from jacstrat.cli.app import EXIT_INTERRUPTED, app
from jacstrat.cli.options import (
    Devices,
    Dtypes,
    Inputs,
    MaxMemory,
    Operators,
    Points,
    Problems,
    Seed,
    Strategies,
    SweepArgument,
    Threads,
    Timeout,
    Workloads,
    byte_count,
    check_devices,
    sweep_of,
)
from jacstrat.core.errors import UsageError

if TYPE_CHECKING:
    from jacstrat.harness.plan.sweep import Sweep


@app.command()
def plan(
    sweep: SweepArgument = None,
    problem: Problems = None,
    operator: Operators = None,
    strategy: Strategies = None,
    n: Inputs = None,
    batch: Points = None,
    dtype: Dtypes = None,
    device: Devices = None,
    workload: Workloads = None,
    threads: Threads = None,
    timeout: Timeout = None,
    max_memory: MaxMemory = None,
    seed: Seed = None,
    assume_memory: Annotated[
        str | None, typer.Option(help="Plan for devices with so much memory, here or not: 80GiB.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Say how long a run would take on so many workers.")] = None,
) -> None:
    """Predict what a run would take, and what it would skip; measures nothing."""
    assumed = byte_count("--assume-memory", assume_memory)
    chosen = sweep_of(
        sweep, problem, operator, strategy, n, batch, dtype, device, workload, threads, timeout, max_memory, seed
    )
    if assumed is None:
        check_devices(device, "; --assume-memory 80GiB plans without it")
    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be 1 or more, got {workers}")
    _plan(chosen, assumed, workers)


def _plan(sweep: Sweep, assume_bytes: int | None, workers: int | None) -> None:
    from jacstrat.cli.progress import Progress
    from jacstrat.cli.terminal import Terminal
    from jacstrat.harness.plan.planning import plan, print_plan

    total = sum(len(cell.strategies) for cell in sweep.cells())
    forecasts = []
    with Progress(Terminal(stderr=True)) as progress:
        progress.started(0, total)
        try:
            for forecast in plan(sweep, assume_bytes, progress.attending):
                forecasts.append(forecast)
                progress.started(len(forecasts), total)
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
    console = Terminal()
    print_plan(forecasts, console)
    if workers is not None:
        from jacstrat.harness.plan.costs import estimate, in_words

        console.say(in_words(estimate(sweep, forecasts, workers), workers))
