"""kill -9 of a run at any moment: what is on disk stands, --resume completes it, no process stays behind."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from jacstrat import read_records

from .figure import Figure
from .rows import completed, flaws

# 60 quick cases in 20 cells, enough that half of a run writes rows. A third of the cases are refused before anything is
# sampled, so that cells are cut in two as well.
SWEEP = """
sample_s = 0.05
problems = ["sin", "linear"]
operators = ["divergence"]
strategies = ["identity", "hessian", "vmap"]
n = [2, 3, 4, 5, 6]
batch = [1, 2]
"""
# How long the system may take to end the children of a run that is gone.
GRACE_S = 10.0
RESUME_LIMIT_S = 300.0
# In the environment of the run, and so in that of all that it starts, however that is detached.
MARK = "JACSTRAT_KILLED_RUN"


@dataclass(frozen=True)
class Attempt:
    """One run that was killed.

    Fields:
        moment_s: When, from its start.
        rows: That were completed by then.
        unreadable: What was wrong with them.
        staying: Processes that were still there GRACE_S later.
        unresumed: What was wrong after --resume.
    """

    moment_s: float
    rows: int
    unreadable: tuple[str, ...] = ()
    staying: tuple[str, ...] = ()
    unresumed: tuple[str, ...] = ()


def kill(count: int = 20, seed: int = 0) -> list[Figure]:
    """Kill runs at moments uniform over the time of a whole one, each in a directory of its own.

    Args:
        count: Runs to kill.
        seed: Of the moments.
    """
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        sweep = Path(folder) / "sweep.toml"
        sweep.write_text(SWEEP, encoding="utf-8")
        begin = time.perf_counter()
        if code := finish(sweep, Path(folder) / "whole"):
            raise RuntimeError(f"the run that is not killed exits with code {code}")
        whole_s = time.perf_counter() - begin
        expected = frozenset(read_records(Path(folder) / "whole")["case"])
        moments = [rng.uniform(0, whole_s) for _ in range(count)]
        attempts = [attempt(sweep, Path(folder) / str(i), s, expected) for i, s in enumerate(moments)]
    return judge(attempts, len(expected), whole_s)


def attempt(
    sweep: Path,
    directory: Path,
    moment_s: float,
    expected: Collection[str],
    sleep: Callable[[float], object] = time.sleep,
) -> Attempt:
    """Start a run, kill it, look at what is left, and resume it."""
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        command(sweep, directory),
        env=os.environ | {MARK: mark},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        sleep(moment_s)
    finally:
        process.kill()
        process.wait()
    staying = stayers(mark, GRACE_S)
    before = completed(directory)
    unreadable = flaws(directory, expected)
    code = finish(sweep, directory, "--resume")
    unresumed = [f"--resume exits with code {code}"] if code else incomplete(directory, before, expected)
    return Attempt(moment_s, max(before.count(b"\n") - 1, 0), tuple(unreadable), tuple(staying), tuple(unresumed))


def incomplete(directory: Path, before: bytes, expected: Collection[str]) -> list[str]:
    """What is wrong with a directory that was resumed, each in a line.

    Args:
        directory: As --resume left it.
        before: Its completed lines before that.
        expected: Keys of the cases that its sweep has.
    """
    after = completed(directory)
    found = flaws(directory, expected)
    if not after.startswith(before):
        found.append("rows that were completed before are not there as they were")
    rows = max(after.count(b"\n") - 1, 0)
    if rows < len(expected):
        found.append(f"{len(expected) - rows} cases are missing")
    return found


def command(sweep: Path, directory: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "jacstrat", "run", str(sweep), "--out", str(directory), *options]


def finish(sweep: Path, directory: Path, *options: str) -> int:
    """Run to the end; the exit code."""
    return subprocess.run(
        command(sweep, directory, *options),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=RESUME_LIMIT_S,
        check=False,
    ).returncode


def stayers(mark: str, grace_s: float) -> list[str]:
    """What is left of a run after a time of grace, a line a process; they are ended then."""
    deadline = time.monotonic() + grace_s
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    lines = []
    for process in left:
        with suppress(psutil.Error):
            lines.append(" ".join(process.cmdline())[:200])
            process.kill()
    return lines


def marked(mark: str) -> list[psutil.Process]:
    """Processes that run with the mark in their environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def judge(attempts: Sequence[Attempt], cases: int, whole_s: float) -> list[Figure]:
    """How many of the kills did harm, one figure a kind of harm."""
    amid = sum(0 < one.rows < cases for one in attempts)
    note = f"{len(attempts)} kills within {whole_s:.1f} s, {amid} of them with some of {cases} rows on disk"

    def figure(what: str, harms: Sequence[tuple[str, ...]], note: str = "") -> Figure:
        first = next((f"for one, {harm[0]}" for harm in harms if harm), "")
        return Figure("kill", what, sum(map(bool, harms)), 0, note="; ".join(filter(None, (note, first))))

    return [
        figure("kills after which a completed row is unreadable or incomplete", [a.unreadable for a in attempts], note),
        figure("kills after which --resume does not give each case once", [a.unresumed for a in attempts]),
        figure("kills that leave a process behind", [a.staying for a in attempts]),
    ]
