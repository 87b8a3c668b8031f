"""Options that several commands have, and what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from jacstrat.core.errors import UsageError

if TYPE_CHECKING:
    from jacstrat.harness.plan.sweep import Sweep


def several(text: str | None) -> tuple[str, ...] | None:
    """The values of a comma-separated option."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def whole_numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    try:
        return None if text is None else tuple(int(part) for part in several(text) or ())
    except ValueError:
        raise UsageError(f"{option} must be whole numbers with commas between, such as 1,2,4; got {text!r}") from None


def byte_count(option: str, text: str | None) -> int | None:
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
Operators = Annotated[
    list[str] | None, typer.Option("-o", "--operator", help="Spec, such as laplacian:coordinates=0+1.")
]
Strategies = Annotated[list[str] | None, typer.Option("-s", "--strategy", help="Spec, such as vmap:chunk_size=8.")]
Inputs = Annotated[str | None, typer.Option("-n", help="Inputs: 1,2,4; the problem's sizes unless given.")]
Points = Annotated[str | None, typer.Option(help="Points: 1,64.")]
Dtypes = Annotated[str | None, typer.Option(help="float64,float32,tf32,float16,bfloat16.")]
Devices = Annotated[str | None, typer.Option(help="cpu,cuda; cuda:1, cuda:all for each card here.")]
Workloads = Annotated[str | None, typer.Option(help="evaluate,train,replay.")]
Threads = Annotated[str | None, typer.Option(help="Threads torch computes with: 1,2.")]
Timeout = Annotated[float | None, typer.Option(help="Seconds after which a case that does not end is ended.")]
MaxMemory = Annotated[str | None, typer.Option(help="Memory a case may take, such as 2GiB.")]
Seed = Annotated[int | None, typer.Option(help="Of weights, points and probes.")]


def sweep_of(
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
    numbers = {
        "n": whole_numbers("-n", n),
        "batch": whole_numbers("--batch", batch),
        "threads": whole_numbers("--threads", threads),
    }
    memory = byte_count("--max-memory", max_memory)
    return _sweep(sweep, problem).override(
        problems=tuple(problem) if problem else None,
        operators=tuple(operator) if operator else None,
        strategies=tuple(strategy) if strategy else None,
        dtype=several(dtype),
        device=_devices(device),
        workload=several(workload),
        timeout_s=timeout,
        max_memory_bytes=memory,
        seed=seed,
        **numbers,
    )


def _devices(text: str | None) -> tuple[str, ...] | None:
    from jacstrat.harness.plan.devices import every_device

    return None if text is None else every_device(several(text) or ())


def check_devices(device: str | None, remedy: str = "") -> None:
    """Refuse a device that was asked for and is not here."""
    from jacstrat.harness.plan.devices import check_devices

    try:
        check_devices(_devices(device) or ())
    except UsageError as error:
        raise UsageError(f"{error}{remedy}") from None


def _sweep(name: str | None, problems: list[str] | None) -> Sweep:
    """The sweep by name; without one the default, or for named problems every strategy on them at their own sizes."""
    from jacstrat.harness.plan.sweep import Grid, Sweep, load_sweep
    from jacstrat.strategies import default_strategies

    if name is None and problems:
        return Sweep((Grid(strategies=default_strategies(), n=()),))
    return load_sweep(name or "default")


def one_of(kind: str, name: str, table: object) -> None:
    from jacstrat.core.errors import lookup

    lookup(kind, name, dict.fromkeys(table))  # type: ignore[call-overload]
