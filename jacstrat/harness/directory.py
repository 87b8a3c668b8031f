"""The directory of a run: claimed by one run at a time, continued after an interruption, never mixed."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from jacstrat.core.errors import UsageError
from jacstrat.harness.plan.sweep import Grid, Sweep, load_sweep
from jacstrat.records import PARQUET, RECORDS, SWEEP, drop_rows, has_rows, read_records
from jacstrat.samples import SAMPLES

LOCK = ".lock"
# How a run is limited may change on resuming: a longer time is why one tries again. What is measured may not.
LIMITS = ("timeout_s", "max_memory_bytes")


@contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Make the directory, and hold it against a second run.

    Raises:
        UsageError: It cannot be written, or another run holds it.
    """
    lock = FileLock(directory / LOCK, blocking=False)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise UsageError(f"{directory} is in use by another run; name another with --out") from None
    except OSError as error:
        raise UsageError(f"{directory} cannot be written: {error.strerror or error}; name another with --out") from None
    try:
        yield
    finally:
        lock.release()


class Standing(NamedTuple):
    """What stands of a case that was run: columns of its row."""

    status: str
    reason: str
    cause: str
    machine: str


def finished(directory: Path, sweep: Sweep, resume: bool, retry: Collection[str]) -> Mapping[str, Standing]:
    """What stands of the cases that the directory has and that stand, by key.

    Args:
        directory: A claimed directory.
        sweep: What is asked now.
        resume: Whether to go on with what is there.
        retry: Statuses whose rows are taken out, to be measured again; with "timeout" or "oom" also those that were
            skipped on their account.

    Raises:
        UsageError: There are results and `resume` is False, or they are another sweep's; names the difference.
    """
    file = directory / RECORDS
    if (directory / PARQUET).exists():
        raise UsageError(f"{directory / PARQUET} cannot be continued; merge as csv, or name another with --out")
    if not has_rows(file):
        return {}
    if not resume:
        raise UsageError(f"{directory} holds records already; go on with --resume, or name another with --out")
    _same_sweep(directory / SWEEP, sweep)
    for name in (RECORDS, SAMPLES):
        _repair(directory / name)
    frame = read_records(file)
    # With those of the status what was skipped on their account.
    retried = frame["status"].isin([*retry]) | frame["cause"].isin([f"after_{status}" for status in retry])
    again = [*frame.index[retried]]
    if again:
        drop_rows(file, again)
        frame = frame.drop(again)
    standing = frame[["case", *Standing._fields]].itertuples(index=False, name=None)
    return {case: Standing(*fields) for case, *fields in standing}


def _same_sweep(file: Path, sweep: Sweep) -> None:
    if not file.exists():
        raise UsageError(f"{file} is missing, so nothing says what its records belong to; name another with --out")
    before = load_sweep(str(file))
    differences = sweep_differences(before, sweep)
    if before.shard != sweep.shard:
        differences.append(f"shard was {before.shard or 'all'}, asked is {sweep.shard or 'all'}")
    if differences:
        raise UsageError(f"{file.parent} holds another sweep: {differences[0]}; name another with --out")


def sweep_differences(before: Sweep, sweep: Sweep) -> list[str]:
    """In what two sweeps are not the same one, limits and shards apart, each in words."""
    differences = [
        f"{f.name} was {getattr(before, f.name)}, asked is {getattr(sweep, f.name)}"
        for f in fields(Sweep)
        if f.name not in ("grids", "shard", *LIMITS) and getattr(before, f.name) != getattr(sweep, f.name)
    ]
    if len(before.grids) != len(sweep.grids):
        differences.append(f"it had {len(before.grids)} grids, asked are {len(sweep.grids)}")
    for old, new in zip(before.grids, sweep.grids, strict=False):
        differences += [
            f"{f.name} was {_listed(getattr(old, f.name))}, asked is {_listed(getattr(new, f.name))}"
            for f in fields(Grid)
            if getattr(old, f.name) != getattr(new, f.name)
        ]
    return differences


def _listed(values: tuple[Any, ...]) -> str:
    return ",".join(map(str, values)) or "left open"


def _repair(file: Path) -> None:
    """Cut off a last line that a kill left unfinished."""
    if file.exists():
        content = file.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(file, whole)
