"""jacstrat run."""

from __future__ import annotations

from datetime import datetime
from itertools import chain, count
from pathlib import Path
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
    check_devices,
    one_of,
    several,
    sweep_of,
)
from jacstrat.core.errors import UsageError
from jacstrat.records import SWEEP

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from jacstrat.cli.progress import Progress
    from jacstrat.cli.terminal import Terminal
    from jacstrat.harness.dispatch.pool import Pool
    from jacstrat.harness.plan.sweep import Sweep


@app.command()
def run(
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
    sample: Annotated[float | None, typer.Option(help="Most seconds to sample one strategy of one cell.")] = None,
    cache: Annotated[str | None, typer.Option(help="What timed calls find: warm, cold, or both: cold,warm.")] = None,
    trace: Annotated[bool, typer.Option("--trace", help="A Chrome trace of every case, in DIR/traces.")] = False,
    energy: Annotated[bool, typer.Option("--energy", help="Take the energy of a call, on cards that tell it.")] = False,
    counts: Annotated[bool, typer.Option("--counts", help="Counts and accuracy alone: no time is taken.")] = False,
    out: Annotated[Path | None, typer.Option(help="Directory for the results; results/DATE unless given.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in the directory.")] = False,
    retry: Annotated[str | None, typer.Option(help="On resuming, measure these again: timeout,oom.")] = None,
    no_isolation: Annotated[bool, typer.Option("--no-isolation", help="All in this process, for debuggers.")] = False,
    shard: Annotated[str | None, typer.Option(help="One part of the sweep: 2/16 is the second of 16.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Measure on Dask workers: tcp://HOST:PORT, a scheduler file, or local:4.")
    ] = None,
    wait: Annotated[float, typer.Option(help="Seconds without any worker after which to give up.")] = 600,
) -> None:
    """Measure a sweep: every strategy on every problem at every size."""
    if retry and not resume:
        raise UsageError("--retry measures again what an earlier run left; give --resume with it")
    if resume and out is None:
        raise UsageError("--resume goes on with a directory; name it with --out")
    if resume and out and sweep is None and not problem and (out / SWEEP).is_file():
        sweep = str(out / SWEEP)
    chosen = sweep_of(
        sweep, problem, operator, strategy, n, batch, dtype, device, workload, threads, timeout, max_memory, seed
    )
    if scheduler is None:
        # Elsewhere there are others.
        check_devices(device)
    elif no_isolation:
        raise UsageError("--no-isolation is for a debugger in this process; leave out --scheduler")
    if not wait > 0:
        raise UsageError(f"--wait must be more than 0 seconds, got {wait:g}")
    if trace and scheduler is not None:
        raise UsageError("--trace writes files where a case is measured; leave out --scheduler")
    if counts and (trace or cache):
        raise UsageError(f"--{'trace' if trace else 'cache'} is about calls that are timed, and --counts times none")
    if counts and sample is not None:
        raise UsageError("--sample is the time of sampling, and --counts takes none; give one of them")
    if counts and energy:
        raise UsageError("--energy is of calls that are timed, and --counts times none; give one of them")
    from jacstrat.cli.report import show, show_counts
    from jacstrat.cli.terminal import Terminal

    chosen = chosen.override(
        sample_s=sample,
        energy=energy or None,
        timed=False if counts else None,
        cache=several(cache),
        shard=shard,
    )
    directory = out or dated(datetime.now())
    measure(chosen, directory, resume, retry, isolate=not no_isolation, scheduler=scheduler, wait_s=wait, trace=trace)
    if chosen.timed:
        show([directory], Terminal(), brief=True)
    else:
        show_counts(directory, Terminal())


def dated(moment: datetime) -> Path:
    """A directory of its own for a run of this moment: of two that begin within a second, the later one is numbered."""
    first = Path("results") / moment.strftime("%Y-%m-%dT%H-%M-%S")
    numbered = (first.with_name(f"{first.name}-{number}") for number in count(2))
    return next(directory for directory in chain([first], numbered) if not directory.exists())


def measure(
    sweep: Sweep,
    directory: Path,
    resume: bool = False,
    retry: str | None = None,
    isolate: bool = True,
    scheduler: str | None = None,
    wait_s: float = 600,
    trace: bool = False,
) -> None:
    """Run a sweep into a directory, and show how it goes on standard error."""
    from jacstrat.cli.progress import Progress
    from jacstrat.cli.terminal import Terminal
    from jacstrat.core.status import STATUSES
    from jacstrat.harness.run import Options, run
    from jacstrat.measure.environment import snapshot, warnings

    console = Terminal(stderr=True)
    retried = tuple(several(retry) or ())
    for status in retried:
        one_of("status", status, STATUSES)
    warned = False

    def environment() -> dict[str, object]:
        nonlocal warned
        here = snapshot()
        said = warnings(here)
        for warning in () if warned else said:
            console.say(f"warning: {warning}", style="yellow")
        warned = True
        peers = {"peers": software} if (software := sweep.software()) else {}
        return here.to_json() | {"warnings": said, **peers}

    interrupted = False
    with Progress(console) as progress:
        try:
            options = Options(isolate=isolate, resume=resume, retry=retried, trace=trace)
            elsewhere = None if scheduler is None else _pooled(scheduler, wait_s, progress, console)
            run(sweep, directory, progress, options, environment, elsewhere)
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        console.say(f"interrupted; go on with --resume --out {directory}")
        raise typer.Exit(EXIT_INTERRUPTED)


def _pooled(scheduler: str, wait_s: float, progress: Progress, console: Terminal) -> AbstractContextManager[Pool]:
    from jacstrat.harness.dispatch.cluster import pooled

    return pooled(scheduler, wait_s, progress.attending, console.say)
