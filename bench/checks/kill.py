"""Runs whose processes are killed at any moment: what is on disk stands, --resume completes it, and nothing stays."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from jacstrat import read_records

from .figure import Figure
from .rows import completed, flaws, rows_of

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
# As many cases as a run of a few seconds has, for hundreds of kills.
SHORT_SWEEP = """
sample_s = 0.05
problems = ["sin", "linear"]
operators = ["divergence"]
strategies = ["identity", "hessian", "vmap"]
n = [2, 3, 4]
"""
# How long the system may take to end the children of a run that is gone.
GRACE_S = 10.0
RESUME_LIMIT_S = 900.0
# To end after a signal that it hears, with whatever cell is under way.
END_S = 60.0
# Behind the row that a run is awaited at, a case or two; and how often one looks for it.
AMID_S, LOOK_S = 0.3, 0.005
# The command without its tables and plots, which take longer than the run: rows are what is killed.
QUIETLY = (
    "import jacstrat.cli.report as report; report.show = lambda *given, **more: None; "
    "from jacstrat.cli import main; main()"
)
# Who is killed, and how: the run, all of its group as a terminal does it, its fork server, a child of that.
VICTIMS = ("run", "group", "server", "child")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# In the environment of the run, and so in that of all that it starts, however that is detached.
MARK = "JACSTRAT_KILLED_RUN"


@dataclass(frozen=True)
class Attempt:
    """One run that was killed.

    Fields:
        moment_s: When, from its start; of one that was awaited amid its rows, from when so many were there.
        rows: That were completed by then.
        unreadable: What was wrong with them.
        staying: Processes that were still there GRACE_S later.
        unresumed: What was wrong after --resume.
        folders: Temporary files and folders that were still there after --resume.
        killed: The victim and the signal.
    """

    moment_s: float
    rows: int
    unreadable: tuple[str, ...] = ()
    staying: tuple[str, ...] = ()
    unresumed: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    killed: str = "run SIGKILL"


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


def kills(count: int = 200, seed: int = 1, beside: int = 2) -> list[Figure]:
    """Kill processes of short runs without their plots: any of VICTIMS with any of SIGNALS.

    Every other moment is uniform over the time of a whole run, most of which is its start; the others are within
    AMID_S of when a number of rows is there that is uniform over those of a run.

    Args:
        count: Runs to kill.
        seed: Of the moments, victims and signals.
        beside: How many runs at the same time.
    """
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        sweep = Path(folder) / "sweep.toml"
        sweep.write_text(SHORT_SWEEP, encoding="utf-8")
        begin = time.perf_counter()
        if code := finish(sweep, Path(folder) / "whole", quietly=True):
            raise RuntimeError(f"the run that is not killed exits with code {code}")
        whole_s = time.perf_counter() - begin
        expected = frozenset(read_records(Path(folder) / "whole")["case"])

        def one(number: int) -> Attempt:
            draw = random.Random(f"{seed} {number}")
            victim, signal_number = draw.choice(VICTIMS), draw.choice(SIGNALS)
            directory = Path(folder) / str(number)
            after_rows = draw.randrange(1, len(expected)) if number % 2 else 0
            moment_s = draw.uniform(0, AMID_S if after_rows else whole_s)
            return attempt(
                sweep,
                directory,
                moment_s,
                expected,
                victim=victim,
                number=signal_number,
                quietly=True,
                after_rows=after_rows,
            )

        numbers = rng.sample(range(10 * count), count)
        attempts = []
        with ThreadPoolExecutor(beside) as executor:
            for one_attempt in executor.map(one, numbers):
                attempts.append(one_attempt)
                print(f"{len(attempts)} of {count}: {one_attempt}", file=sys.stderr, flush=True)
    return judge(attempts, len(expected), whole_s)


def attempt(
    sweep: Path,
    directory: Path,
    moment_s: float,
    expected: Collection[str],
    sleep: Callable[[float], object] = time.sleep,
    victim: str = "run",
    number: signal.Signals = signal.SIGKILL,
    quietly: bool = False,
    after_rows: int = 0,
) -> Attempt:
    """Start a run, kill it or what works for it, look at what is left, and resume it."""
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory() as temporary:
        environ = os.environ | {MARK: mark, "TMPDIR": temporary}
        process = subprocess.Popen(
            _quiet(command(sweep, directory), quietly),
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + RESUME_LIMIT_S
            while rows_of(directory) < after_rows and process.poll() is None and time.monotonic() < deadline:
                time.sleep(LOOK_S)
            sleep(moment_s)
            strike(process, victim, number)
            if (victim, number) != ("run", signal.SIGKILL):
                process.wait(END_S + (RESUME_LIMIT_S if victim in ("server", "child") else 0))
        except subprocess.TimeoutExpired:
            number = signal.SIGKILL
        finally:
            process.kill()
            process.wait()
        staying = stayers(mark, GRACE_S)
        before, rows = completed(directory), rows_of(directory)
        unreadable = flaws(directory, expected)
        code = finish(sweep, directory, "--resume", quietly=quietly, environ=environ)
        unresumed = [f"--resume exits with code {code}"] if code else incomplete(directory, before, expected)
        staying += stayers(mark, GRACE_S)
        folders = left_folders(Path(temporary))
    killed = f"{victim} {number.name}"
    return Attempt(moment_s, rows, tuple(unreadable), tuple(staying), tuple(unresumed), tuple(folders), killed)


def strike(run: subprocess.Popen[bytes], victim: str, number: signal.Signals) -> None:
    """Send a signal to the run, its group, its fork server or a child of that; to the run where there is none now."""
    with suppress(psutil.Error, ProcessLookupError):
        if victim == "group":
            os.killpg(run.pid, number)
            return
        target = psutil.Process(run.pid)
        if victim != "run" and (servers := target.children()):
            target = servers[0]
            if victim == "child" and (children := target.children()):
                target = children[0]
        target.send_signal(number)


def left_folders(temporary: Path) -> list[str]:
    """What is left in a directory of temporary files, but for torch's own cache, which is there for all that run."""
    return sorted(path.name for path in temporary.iterdir() if not path.name.startswith("torchinductor_"))


def incomplete(directory: Path, before: bytes, expected: Collection[str]) -> list[str]:
    """What is wrong with a directory that was resumed, each in a line.

    Args:
        directory: As --resume left it.
        before: Its completed lines before that.
        expected: Keys of the cases that its sweep has.
    """
    after = completed(directory)
    harm = flaws(directory, expected)
    if not after.startswith(before):
        harm.append("rows that were completed before are not there as they were")
    if (rows := rows_of(directory)) < len(expected):
        harm.append(f"{len(expected) - rows} cases are missing")
    return harm


def command(sweep: Path, directory: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "jacstrat", "run", str(sweep), "--out", str(directory), *options]


def _quiet(arguments: list[str], quietly: bool) -> list[str]:
    """The same command without its tables and plots."""
    return [arguments[0], "-c", QUIETLY, *arguments[3:]] if quietly else arguments


def finish(
    sweep: Path, directory: Path, *options: str, quietly: bool = False, environ: Mapping[str, str] | None = None
) -> int:
    """Run to the end; the exit code, or -1 where there is no end within RESUME_LIMIT_S."""
    try:
        return subprocess.run(
            _quiet(command(sweep, directory, *options), quietly),
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=RESUME_LIMIT_S,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        return -1


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
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                processes.append(process)
    return processes


def judge(attempts: Sequence[Attempt], cases: int, whole_s: float) -> list[Figure]:
    """How many of the kills did harm, one figure a kind of harm."""
    amid = sum(0 < one.rows < cases for one in attempts)
    note = f"{len(attempts)} kills within {whole_s:.1f} s, {amid} of them with some of {cases} rows on disk"

    def figure(what: str, harms: Sequence[tuple[str, ...]], note: str = "") -> Figure:
        harmed = ((one, harm) for one, harm in zip(attempts, harms, strict=True) if harm)
        first = next((f"for one, of {one.killed} at {one.moment_s:.1f} s, {harm[0]}" for one, harm in harmed), "")
        return Figure("kill", what, sum(map(bool, harms)), 0, note="; ".join(filter(None, (note, first))))

    return [
        figure("kills after which a completed row is unreadable or incomplete", [a.unreadable for a in attempts], note),
        figure("kills after which --resume does not give each case once", [a.unresumed for a in attempts]),
        figure("kills that leave a process behind", [a.staying for a in attempts]),
        figure("kills that leave temporary files behind, after the next run", [a.folders for a in attempts]),
    ]
