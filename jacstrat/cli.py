"""The command line: thin, and quick to answer, since torch is imported by what a command needs and not before."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from jacstrat.errors import JacstratError, UsageError
from jacstrat.records import SWEEP

if TYPE_CHECKING:
    from rich.console import Console

    from jacstrat.harness.sweep import Sweep

T = TypeVar("T")

EXIT_USAGE, EXIT_NOTHING_MEASURED, EXIT_INTERRUPTED = 2, 3, 130

app = typer.Typer(
    name="jacstrat",
    help="Measure every way to contract the Jacobian of a PyTorch function.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """The program `jacstrat`: a wrong use is one line and exit code 2."""
    try:
        app()
    except JacstratError as error:
        print(f"jacstrat: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE)


def _several(text: str | None) -> tuple[str, ...] | None:
    """The values of a comma-separated option."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    try:
        return None if text is None else tuple(int(part) for part in _several(text) or ())
    except ValueError:
        raise UsageError(f"{option} must be whole numbers with commas between, such as 1,2,4; got {text!r}") from None


def _bytes(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    units = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "kB": 1e3, "MB": 1e6, "GB": 1e9}
    digits = text.rstrip("BKMGTik ")
    try:
        return int(float(digits) * units[text[len(digits) :].strip()])
    except (ValueError, KeyError, OverflowError):
        raise UsageError(f"{option} must be bytes such as 2GiB, got {text!r}") from None


# The options that choose cases, once for every command that has them.
SweepArgument = Annotated[str | None, typer.Argument(help="A shipped sweep (see `list sweeps`) or a TOML file.")]
Problems = Annotated[list[str] | None, typer.Option("-p", "--problem", help="Name, file.py:attr or module:attr.")]
Operators = Annotated[list[str] | None, typer.Option("-o", "--operator", help="divergence, laplacian, ...")]
Strategies = Annotated[list[str] | None, typer.Option("-s", "--strategy", help="Spec, such as vmap:chunk_size=8.")]
Inputs = Annotated[str | None, typer.Option("-n", help="Inputs: 1,2,4 [the problem's sizes].")]
Points = Annotated[str | None, typer.Option(help="Points: 1,64.")]
Dtypes = Annotated[str | None, typer.Option(help="float64,float32,tf32,float16,bfloat16.")]
Devices = Annotated[str | None, typer.Option(help="cpu,cuda.")]
Workloads = Annotated[str | None, typer.Option(help="evaluate,train,replay.")]
Threads = Annotated[str | None, typer.Option(help="Threads torch computes with: 1,2.")]
Timeout = Annotated[float | None, typer.Option(help="Seconds after which a case that does not end is ended.")]
MaxMemory = Annotated[str | None, typer.Option(help="Memory a case may take, such as 2GiB.")]
Seed = Annotated[int | None, typer.Option(help="Of weights, points and probes.")]


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
    out: Annotated[Path | None, typer.Option(help="Directory for the results [results/DATE].")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in the directory.")] = False,
    retry: Annotated[str | None, typer.Option(help="On resuming, measure these again: timeout,oom.")] = None,
    no_isolation: Annotated[bool, typer.Option("--no-isolation", help="All in this process, for debuggers.")] = False,
) -> None:
    """Measure a sweep: every strategy on every problem at every size."""
    if retry and not resume:
        raise UsageError("--retry measures again what an earlier run left; give --resume with it")
    if resume and out is None:
        raise UsageError("--resume goes on with a directory; name it with --out")
    if resume and out and sweep is None and not problem and (out / SWEEP).is_file():
        sweep = str(out / SWEEP)
    chosen = _chosen(
        sweep, problem, operator, strategy, n, batch, dtype, device, workload, threads, timeout, max_memory, seed
    )
    _check_devices(device)
    _run(chosen.override(sample_s=sample), out or _dated(), resume, retry, not no_isolation)


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
) -> None:
    """Predict what a run would take, and what it would skip; measures nothing."""
    assumed = _bytes("--assume-memory", assume_memory)
    chosen = _chosen(
        sweep, problem, operator, strategy, n, batch, dtype, device, workload, threads, timeout, max_memory, seed
    )
    if assumed is None:
        _check_devices(device, "; --assume-memory 80GiB plans without it")
    _plan(chosen, assumed)


@app.command()
def advise(
    problem: Annotated[str, typer.Argument(help="Name, file.py:attr or module:attr.")],
    n: Annotated[int, typer.Option("-n", help="Inputs.")],
    batch: Annotated[int, typer.Option(help="Points.")] = 1,
    operator: Annotated[str | None, typer.Option("-o", "--operator", help="divergence, laplacian, ...")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 or float64 [float64].")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda [cpu].")] = None,
    workload: Annotated[str | None, typer.Option(help="evaluate or train [evaluate].")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads torch computes with.")] = None,
    timeout: Timeout = None,
    max_memory: MaxMemory = None,
    seed: Seed = None,
    sample: Annotated[float | None, typer.Option(help="Most seconds to sample one strategy.")] = None,
) -> None:
    """Which strategy to use for one function at one size, and why; writes nothing."""
    chosen = _chosen(
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
    _check_devices(device)
    _advise(chosen.override(sample_s=sample))


def _chosen(
    sweep: str | None,
    problem: list[str] | None,
    operator: list[str] | None,
    strategy: list[str] | None,
    n: str | None,
    batch: str | None,
    dtype: str | None,
    device: str | None,
    workload: str | None,
    threads: str | None,
    timeout: float | None,
    max_memory: str | None,
    seed: int | None,
) -> Sweep:
    """The sweep that the options choose."""
    # Names first: a wrong option is answered before torch is imported.
    numbers = {"n": _numbers("-n", n), "batch": _numbers("--batch", batch), "threads": _numbers("--threads", threads)}
    memory = _bytes("--max-memory", max_memory)
    return _sweep(sweep, problem).override(
        problems=tuple(problem) if problem else None,
        operators=tuple(operator) if operator else None,
        strategies=tuple(strategy) if strategy else None,
        dtype=_several(dtype),
        device=_several(device),
        workload=_several(workload),
        timeout_s=timeout,
        max_memory_bytes=memory,
        seed=seed,
        **numbers,
    )


def _check_devices(device: str | None, remedy: str = "") -> None:
    """Refuse a device that was asked for and is not here."""
    from jacstrat.harness.sweep import check_devices

    try:
        check_devices(_several(device) or ())
    except UsageError as error:
        raise UsageError(f"{error}{remedy}") from None


def _sweep(name: str | None, problems: list[str] | None) -> Sweep:
    """The sweep by name; without one the default, or for named problems every strategy on them at their own sizes."""
    from jacstrat.harness.sweep import Grid, Sweep, load_sweep
    from jacstrat.strategies import STRATEGIES

    if name is None and problems:
        return Sweep((Grid(strategies=tuple(STRATEGIES), n=()),))
    return load_sweep(name or "default")


def _dated() -> Path:
    from datetime import datetime

    return Path("results") / datetime.now().strftime("%Y-%m-%dT%H-%M-%S")


def _run(sweep: Sweep, directory: Path, resume: bool, retry: str | None, isolate: bool) -> None:
    from rich.console import Console

    from jacstrat.harness.progress import Progress
    from jacstrat.harness.run import Options, run
    from jacstrat.measure.environment import snapshot, warnings
    from jacstrat.records import STATUSES

    console = Console(stderr=True)
    retried = tuple(_several(retry) or ())
    for status in retried:
        _one_of("status", status, STATUSES)
    warned = False

    def environment() -> dict[str, object]:
        nonlocal warned
        found = snapshot()
        said = warnings(found)
        for warning in () if warned else said:
            console.print(f"warning: {warning}", style="yellow", highlight=False, markup=False, soft_wrap=True)
        warned = True
        return found.to_json() | {"warnings": said}

    interrupted = False
    with Progress(console) as progress:
        try:
            options = Options(isolate=isolate, resume=resume, retry=retried)
            run(sweep, directory, progress, options, environment)
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        console.print(
            f"interrupted; go on with --resume --out {directory}", highlight=False, markup=False, soft_wrap=True
        )
        raise typer.Exit(EXIT_INTERRUPTED)
    _report(directory, Console())


def _plan(sweep: Sweep, assume_bytes: int | None) -> None:
    from rich.console import Console

    from jacstrat.harness.plan import plan, print_plan
    from jacstrat.harness.progress import Progress

    total = sum(len(cell.strategies) for cell in sweep.cells())
    forecasts = []
    with Progress(Console(stderr=True)) as progress:
        progress.started(0, total)
        try:
            for forecast in plan(sweep, assume_bytes, progress.attending):
                forecasts.append(forecast)
                progress.started(len(forecasts), total)
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
    print_plan(forecasts, Console())


def _advise(sweep: Sweep) -> None:
    from rich.console import Console

    from jacstrat.harness.advise import SPECS, advise, cell_to_advise, print_advice
    from jacstrat.harness.progress import Progress

    sweep = sweep.override(strategies=SPECS)
    with Progress(Console(stderr=True)) as progress:
        progress.started(0, len(cell_to_advise(sweep).strategies))
        try:
            advice = advise(sweep, progress.attending)
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
    print_advice(advice, Console())
    if not advice.measured:
        raise typer.Exit(EXIT_NOTHING_MEASURED)


def _one_of(kind: str, name: str, table: object) -> None:
    from jacstrat.errors import lookup

    lookup(kind, name, dict.fromkeys(table))  # type: ignore[call-overload]


@app.command()
def report(directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of a run.")]) -> None:
    """Tables and plots from the records of a run."""
    from rich.console import Console

    _report(directory, Console())


def _report(directory: Path, console: Console) -> None:
    """Plots on disk, the tables and findings on the console; ends with exit code 3 where nothing was measured."""
    from jacstrat.records import PLOTS, read_records
    from jacstrat.report.plots import write_plots
    from jacstrat.report.tables import print_findings

    frame = read_records(directory)
    measured = frame["median_s"].notna().any()
    plots = write_plots(frame, directory / PLOTS)
    print_findings(frame, console)
    console.print(
        f"{len(frame)} cases in {directory / 'records.csv'}, {len(plots)} plots in {directory / PLOTS}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    if not measured:
        console.print("nothing was measured", highlight=False)
        raise typer.Exit(EXIT_NOTHING_MEASURED)


@app.command("list")
def list_(what: Annotated[str, typer.Argument(help="problems, strategies or sweeps.")]) -> None:
    """What there is to choose from."""
    from rich.console import Console

    from jacstrat.errors import lookup
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
