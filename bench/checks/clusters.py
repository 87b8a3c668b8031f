"""Dask clusters that go wrong in mid-run: rows, each once, or a line and --resume. Every worker is a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import psutil

import jacstrat
from jacstrat import read_records
from jacstrat.cli.app import EXIT_USAGE
from jacstrat.measure.environment import MACHINE_VARIABLE

from .figure import Figure
from .kill import GRACE_S, MARK, QUIETLY, stayers
from .rows import completed

SELECTION = ("-o", "divergence", "-s", "identity", "-s", "vmap", "--sample", "0.3", "--wait", "240")
PROBLEMS = ("sin", "linear")
CASES = 12
LIMIT_S = 600.0
LOOK_S = 0.02
# After which a scheduler takes a worker that says nothing for dead.
SILENT = "6s"
KILLER = """
import os, signal, psutil, torch


def kills_its_worker(x):
    # f runs in a child of a fork server of the worker.
    os.kill(psutil.Process().parents()[1].pid, signal.SIGKILL)
    return torch.sin(x)
"""


class Bench:
    """A folder, a scheduler at a port of its own and the processes that belong to it.

    Args:
        folder: For what they write.
        mark: In the environment of all that it starts.
    """

    def __init__(self, folder: Path, mark: str) -> None:
        self.folder = folder
        self.out = folder / "out"
        self._mark = mark
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._started: list[subprocess.Popen[bytes]] = []

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def scheduler(self) -> subprocess.Popen[bytes]:
        """Start the scheduler, at the same port each time, and wait until it listens."""
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard", "--no-show"]
        settings = {"WORKER_TTL": SILENT, "ALLOWED_FAILURES": "1"}
        variables = {f"DASK_DISTRIBUTED__SCHEDULER__{name}": value for name, value in settings.items()}
        process = self._start(["-m", "distributed.cli.dask_scheduler", *options], variables)
        until(lambda: _listens(self.port) or process.poll() is not None)
        return process

    def worker(self, *options: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start a worker with its nanny; it passes for a machine of its own."""
        common = ["--nthreads", "1", "--host", "127.0.0.1", "--no-dashboard", "--memory-limit", "0"]
        place = ["--local-directory", str(self.folder)]
        machine = {MACHINE_VARIABLE: uuid.uuid4().hex}
        command = ["-m", "distributed.cli.dask_worker", self.address, *common, *place, *options]
        return self._start(command, machine | variables)

    def run(
        self, *options: str, problems: Sequence[str] = PROBLEMS, sizes: str = "2,3,4"
    ) -> subprocess.Popen[bytes]:
        """Start a client; what it says on standard error is in a file."""
        chosen = [part for problem in problems for part in ("-p", problem)]
        command = ["run", *chosen, *SELECTION, "-n", sizes, "--out", str(self.out), "--scheduler", self.address]
        command += options
        return self._start(["-c", QUIETLY, *command], {}, self.folder / "said")

    def end_of(self, client: subprocess.Popen[bytes]) -> tuple[int | None, str]:
        """The exit code of a client, None where it does not end, and what it has said."""
        try:
            code: int | None = client.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            code = None
        return code, (self.folder / "said").read_text("utf-8", "replace")

    def rows(self) -> int:
        """How many there are."""
        return max(completed(self.out).count(b"\n") - 1, 0)

    def until_amid(self, client: subprocess.Popen[bytes]) -> None:
        """Wait until there are rows."""
        until(lambda: self.rows() > 0 or client.poll() is not None)

    def working(self) -> psutil.Process:
        """A worker's process below its nanny, at work or not."""
        nannies = [psutil.Process(process.pid) for process in self._started[1:] if "dask_worker" in str(process.args)]
        return next(child for nanny in nannies for child in nanny.children() if "spawn_main" in " ".join(child.cmdline()))

    def end(self) -> None:
        """End all that was started."""
        for process in reversed(self._started):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGCONT)
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(
        self, command: Sequence[str], variables: Mapping[str, str], said: Path | None = None
    ) -> subprocess.Popen[bytes]:
        with (said or Path(os.devnull)).open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, *command],
                env=os.environ | {MARK: self._mark} | variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=err,
                start_new_session=True,
            )
        self._started.append(process)
        return process


def until(done: Callable[[], object]) -> None:
    """Wait until it is so, at most LIMIT_S."""
    looks = round(LIMIT_S / LOOK_S)
    for _ in range(looks):
        if done():
            return
        time.sleep(LOOK_S)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def faults(bench: Bench, ended: tuple[int | None, str], cases: int = CASES, said: str = "") -> Iterator[str]:
    """What is wrong with a run that should be whole."""
    code, words = ended
    if code != 0:
        yield f"exit code {code}: {words[-200:]}"
    if "Traceback (most" in words:
        yield "a traceback"
    if said not in words:
        yield f"it does not say {said!r}"
    frame = read_records(bench.out)
    if len(frame) != cases or frame["case"].nunique() != cases:
        yield f"{len(frame)} rows of {frame['case'].nunique()} cases, {cases} are due"
    of_ours = frame[frame["problem"].isin(PROBLEMS)]
    if others := sorted({*of_ours["status"]} - {"ok"}):
        yield f"cases are {', '.join(others)}: {of_ours[of_ours['status'] != 'ok']['reason'].iloc[0]}"


def killed_by_a_case(bench: Bench) -> Iterator[str]:
    """a function that kills its worker"""
    file = bench.folder / "killer.py"
    file.write_text(KILLER, encoding="utf-8")
    bench.scheduler()
    bench.worker()
    problem = f"{file}:kills_its_worker"
    client = bench.run(problems=(PROBLEMS[0], problem, PROBLEMS[1]), sizes="2")
    yield from faults(bench, bench.end_of(client), cases=6)
    frame = read_records(bench.out)
    rows = frame[frame["problem"] == problem]
    if {*rows["status"]} != {"crashed"} or not rows["reason"].str.contains("workers died on this cell").all():
        yield f"its rows are {dict(zip(rows['status'], rows['reason'], strict=True))}"


def killed_from_outside(bench: Bench) -> Iterator[str]:
    """a worker that is killed in mid-run"""
    bench.scheduler()
    bench.worker()
    client = bench.run()
    bench.until_amid(client)
    bench.working().kill()
    yield from faults(bench, bench.end_of(client))


def stopped(bench: Bench) -> Iterator[str]:
    """a worker that is stopped in mid-run"""
    bench.scheduler()
    bench.worker()
    bench.worker()
    client = bench.run()
    bench.until_amid(client)
    bench.working().suspend()
    yield from faults(bench, bench.end_of(client))


def of_another_version(bench: Bench) -> Iterator[str]:
    """a worker of another version beside one of the same"""
    other = bench.folder / "other"
    shutil.copytree(Path(jacstrat.__file__).parent, other / "jacstrat", ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "jacstrat" / "__init__.py").open("a", encoding="utf-8") as file:
        file.write("\n# Another one.\n")
    bench.scheduler()
    bench.worker(PYTHONPATH=os.pathsep.join([str(other), *filter(None, sys.path)]))
    client = bench.run()
    until(lambda: "is refused: it has jacstrat" in (bench.folder / "said").read_text() or client.poll() is not None)
    bench.worker()
    yield from faults(bench, bench.end_of(client), said="is refused: it has jacstrat")
    (session,) = json.loads((bench.out / "environment.json").read_text())
    if len(session["workers"]) != 1:
        yield f"{len(session['workers'])} workers have measured"


def claiming_a_card(bench: Bench) -> Iterator[str]:
    """a worker that claims a card that it has not"""
    bench.scheduler()
    bench.worker("--resources", "cuda=1")
    ended = bench.end_of(bench.run("--device", "cpu,cuda"))
    frame = read_records(bench.out)
    claimed = frame[frame["device"] == "cuda"]
    if not claimed["reason"].str.contains("device cuda is not available").all() or {*claimed["status"]} != {"skipped"}:
        yield f"rows of the card are {dict(zip(claimed['status'], claimed['reason'], strict=True))}"
    if ended[0] != 0 or len(frame) != 2 * CASES or frame["case"].nunique() != 2 * CASES:
        yield f"exit code {ended[0]}, {len(frame)} rows of {frame['case'].nunique()} cases"


def gone_and_back(bench: Bench) -> Iterator[str]:
    """a scheduler that is killed in mid-run, and one at the same address for --resume"""
    scheduler = bench.scheduler()
    bench.worker()
    client = bench.run()
    bench.until_amid(client)
    scheduler.kill()
    scheduler.wait()
    code, said = bench.end_of(client)
    lines = [line for line in said.splitlines() if line.startswith("jacstrat: ")]
    if code != EXIT_USAGE or len(lines) != 1 or "the scheduler is gone" not in lines[0] or "Traceback" in said:
        yield f"exit code {code}: {said[-300:]}"
    before, rows = completed(bench.out), bench.rows()
    if not 0 < rows < CASES:
        yield f"it was killed with {rows} rows on disk"
    bench.scheduler()
    bench.worker()
    yield from faults(bench, bench.end_of(bench.run("--resume")))
    if not completed(bench.out).startswith(before):
        yield "rows that were completed before are not there as they were"


def restarted(bench: Bench) -> Iterator[str]:
    """a scheduler that is stopped for a while in mid-run"""
    scheduler = bench.scheduler()
    bench.worker()
    client = bench.run()
    bench.until_amid(client)
    scheduler.send_signal(signal.SIGSTOP)
    time.sleep(3)
    scheduler.send_signal(signal.SIGCONT)
    yield from faults(bench, bench.end_of(client))


SCENARIOS: Mapping[str, Callable[[Bench], Iterator[str]]] = MappingProxyType(
    {
        one.__name__: one
        for one in (
            killed_by_a_case,
            killed_from_outside,
            stopped,
            of_another_version,
            claiming_a_card,
            gone_and_back,
            restarted,
        )
    }
)


@contextmanager
def benched(mark: str) -> Iterator[Bench]:
    """A Bench, and nothing of it left after the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        bench = Bench(folder, mark)
        stack.callback(bench.end)
        yield bench


def dask(names: Sequence[str] = tuple(SCENARIOS)) -> list[Figure]:
    """Play scenarios, one after the other.

    Args:
        names: Of SCENARIOS.
    """
    figures = []
    for name in names:
        mark = uuid.uuid4().hex
        with benched(mark) as bench:
            found = list(SCENARIOS[name](bench))
        found += [f"{line} stays" for line in stayers(mark, GRACE_S)]
        what = f"{SCENARIOS[name].__doc__}: what is wrong with its rows, its end or what is left"
        figures.append(Figure("dask", what, len(found), 0, note=found[0] if found else ""))
        print(figures[-1], file=sys.stderr, flush=True)
    return figures
