"""Everything that is compiled, compiled before anything is timed: in processes side by side, into caches on disk.

On a card a cell compiles for longer than it is timed, and one after the other they would take most of an hour. What is
compiled here is thrown away but for the caches of torch's compiler, of Triton and of XLA, in which the processes that
are timed find it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from jacstrat.core.case import Case
from jacstrat.harness.plan.cases import Cell
from jacstrat.strategies import parse_strategy
from jacstrat.strategies.base import inner_name

from .deadline import Deadline

ROOT = Path(__file__).parents[2]
# The caches, each by the variable that its owner reads.
CACHES = {"TORCHINDUCTOR_CACHE_DIR": "inductor", "TRITON_CACHE_DIR": "triton", "JAX_COMPILATION_CACHE_DIR": "jax"}
# Keep what took XLA less than a second to compile, too.
ALL_OF_JAX = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
# Cores that a compiling process has for itself, and how often it is asked whether it is done.
CORES, LOOK_S = 2, 0.1


class Running(Protocol):
    """A process that was started; `subprocess.Popen`, or a fake in tests."""

    def poll(self) -> int | None: ...

    def kill(self) -> None: ...

    def wait(self) -> int: ...


Start = Callable[[Case], Running]


def jobs_of(cells: Iterable[Cell]) -> list[Case]:
    """What is to be compiled: each case whose strategy compiles, by itself or inside, and is installed.

    Of a graph of a program the program alone: to capture it takes no time.
    """
    cases: dict[Case, None] = {}
    for cell in cells:
        for spec in cell.strategies:
            strategy = parse_strategy(spec)
            while strategy.captures and (within := inner_name(type(strategy))):
                strategy = getattr(strategy, within)
            if strategy.missing is None and (strategy.compiles or strategy.starts_compiler):
                cases[cell.case(strategy.spec)] = None
    return list(cases)


def caches(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The variables that name the caches, those left as they are that are set."""
    return {name: environ.get(name, str(folder / its_folder)) for name, its_folder in CACHES.items()} | {
        name: environ.get(name, value) for name, value in ALL_OF_JAX.items()
    }


def warm(
    cells: Iterable[Cell],
    until: Deadline,
    start: Start | None = None,
    most: int | None = None,
    sleep: Callable[[float], Any] = time.sleep,
) -> list[Case]:
    """Compile everything that the cells need; the cases that came to no end.

    Args:
        cells: What will be timed.
        until: When to go on all the same: what is not compiled by then is so where it is timed.
        start: Starts a process that compiles a case.
        most: Processes side by side; by default one for each CORES cores.
        sleep: Waits.
    """
    os.environ.update(caches(os.environ, Path(tempfile.gettempdir()) / "jacstrat-frontier"))
    start = _start if start is None else start
    most = max(1, (os.cpu_count() or 1) // CORES) if most is None else most
    waiting, running, failed = jobs_of(cells), dict[Case, Running](), list[Case]()
    print(f"compiling {len(waiting)} programs, {most} at a time ...", file=sys.stderr, flush=True)
    while (waiting or running) and not until.is_over():
        while waiting and len(running) < most:
            job = waiting.pop(0)
            running[job] = start(job)
        for job in [job for job, one in running.items() if one.poll() is not None]:
            if running.pop(job).wait() != 0:
                failed.append(job)
        if running:
            sleep(LOOK_S)
    for one in running.values():
        one.kill()
        one.wait()
    left = [*failed, *running, *waiting]
    for job in left:
        print(f"{job.key}: not compiled ahead", file=sys.stderr, flush=True)
    return left


def _start(job: Case) -> Running:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "bench"), *filter(None, sys.path)]),
        "TORCHINDUCTOR_COMPILE_THREADS": str(CORES),
    }
    command = [sys.executable, "-m", "checks.compiling", job.key]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
