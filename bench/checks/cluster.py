"""A Dask cluster of one's own, to break: a scheduler, workers and a client of it, each a process."""

from __future__ import annotations

import os
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

import psutil

from jacstrat.measure.environment import MACHINE_VARIABLE

from .kill import GRACE_S, MARK, QUIETLY
from .rows import rows_of

SELECTION = ("-o", "divergence", "-s", "identity", "-s", "vmap", "--sample", "0.3", "--wait", "240")
PROBLEMS = ("sin", "linear")
LIMIT_S = 600.0
LOOK_S = 0.02
# After which a scheduler takes a worker that says nothing for dead: torch takes seconds to import, and says nothing.
SILENT = "40s"


class ClusterBench:
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
        directory = ["--local-directory", str(self.folder)]
        machine = {MACHINE_VARIABLE: uuid.uuid4().hex}
        command = ["-m", "distributed.cli.dask_worker", self.address, *common, *directory, *options]
        return self._start(command, machine | variables)

    def run(self, *options: str, problems: Sequence[str] = PROBLEMS, sizes: str = "2,3,4") -> subprocess.Popen[bytes]:
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
        return rows_of(self.out)

    def until_amid(self, client: subprocess.Popen[bytes]) -> None:
        """Wait until there are rows."""
        until(lambda: self.rows() > 0 or client.poll() is not None)

    def working(self) -> psutil.Process:
        """A worker's process below its nanny, at work or not."""
        nannies = [psutil.Process(process.pid) for process in self._started[1:] if "dask_worker" in str(process.args)]
        return next(
            child for nanny in nannies for child in nanny.children() if "spawn_main" in " ".join(child.cmdline())
        )

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
                env=os.environ | {MARK: self._mark, "TMPDIR": str(self.folder)} | variables,
                # `python -m` looks there first, and would find this checkout's jacstrat for another one's.
                cwd=self.folder,
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


@contextmanager
def benched(mark: str) -> Iterator[ClusterBench]:
    """A Bench, and nothing of it left after the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        bench = ClusterBench(folder, mark)
        stack.callback(bench.end)
        yield bench
