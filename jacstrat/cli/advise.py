"""jacstrat advise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from jacstrat.cli.app import EXIT_INTERRUPTED, EXIT_NOTHING_MEASURED, app
from jacstrat.cli.options import MaxMemory, Seed, Timeout, check_devices, sweep_of

if TYPE_CHECKING:
    from jacstrat.harness.plan.sweep import Sweep


@app.command()
def advise(
    problem: Annotated[str, typer.Argument(help="Name, file.py:attr or module:attr.")],
    n: Annotated[int, typer.Option("-n", help="Inputs.")],
    batch: Annotated[int, typer.Option(help="Points.")] = 1,
    operator: Annotated[
        str | None, typer.Option("-o", "--operator", help="Spec, such as laplacian:coordinates=0+1.")
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 or float64; float64 unless given.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; cpu unless given.")] = None,
    workload: Annotated[str | None, typer.Option(help="evaluate or train; evaluate unless given.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads torch computes with.")] = None,
    timeout: Timeout = None,
    max_memory: MaxMemory = None,
    seed: Seed = None,
    sample: Annotated[float | None, typer.Option(help="Most seconds to sample one strategy.")] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show what auto chose among, and by which counts.")
    ] = False,
) -> None:
    """Which strategy to use for one function at one size, and why; writes nothing."""
    chosen = sweep_of(
        None,
        [problem],
        [operator] if operator else None,
        None,
        str(n),
        str(batch),
        dtype,
        device,
        workload,
        None if threads is None else str(threads),
        timeout,
        max_memory,
        seed,
    )
    check_devices(device)
    _advise(chosen.override(sample_s=sample), explain)


def _advise(sweep: Sweep, explain: bool) -> None:
    from jacstrat.cli.progress import Progress
    from jacstrat.cli.terminal import Terminal
    from jacstrat.harness.advise import SPECS, advise, cell_to_advise, print_advice

    sweep = sweep.override(strategies=SPECS)
    with Progress(Terminal(stderr=True)) as progress:
        progress.started(0, len(cell_to_advise(sweep).strategies))
        try:
            advice = advise(sweep, progress.attending)
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
    print_advice(advice, Terminal(), explain)
    if not advice.measured:
        raise typer.Exit(EXIT_NOTHING_MEASURED)
