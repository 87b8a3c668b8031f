"""The process of a peer, spoken to over pipes; see `serve` for what is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import IO, Any

import numpy as np

from jacstrat.core.errors import CrashedError, JacstratError, UnsupportedError

SERVE = Path(__file__).parent / "serve.py"
# Where arrays are handed over: memory, where the system has a directory of it.
SHARED = Path("/dev/shm")


class Process:
    """A peer's process. It ends with this one, or when nothing refers to it any more.

    Args:
        name: Of the peer, for errors.
        python: Its interpreter.
        side: The file that knows its library.
        device: "cpu", "cuda" or "cuda:1": what it computes on, and all that it sees.
        threads: Of one operation on the CPU.
    """

    def __init__(self, name: str, python: str, side: Path, device: str, threads: int) -> None:
        self.name = name
        self._handles = count()
        self._folder = tempfile.TemporaryDirectory(prefix="jacstrat-", dir=SHARED if SHARED.is_dir() else None)
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._popen = subprocess.Popen(
            [python, "-P", str(SERVE), str(side)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=surroundings(os.environ, device, threads, is_ours=python == sys.executable),
        )
        self._end = weakref.finalize(self, _end, self._popen, self._folder)

    def end(self) -> None:
        """Kill it now."""
        self._end()

    @property
    def is_alive(self) -> bool:
        return self._end.alive and self._popen.poll() is None

    def prepare(self, task: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> tuple[int, dict[str, str]]:
        """Prepare a task; its handle, and the software that computes it.

        Raises:
            UnsupportedError: The library cannot; says why.
        """
        handle = next(self._handles)
        with self._file("arrays.npz") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            try:
                answer = self._ask({"prepare": handle, "task": task, "arrays": str(file)})
            except _RaisedError as error:
                raise UnsupportedError(f"{self.name} cannot: {error}") from None
        return handle, answer["software"]

    def evaluate(self, handle: int, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """One call at other points: the result."""
        with self._file("arrays.npz") as file, self._file("result.npy") as result:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            self._ask({"evaluate": handle, "arrays": str(file), "result": str(result)})
            array: np.ndarray = np.load(result)
        return array

    def seconds(self, handle: int, calls: int) -> float:
        """Seconds of so many calls at the points of the last evaluation."""
        return float(self._ask({"run": handle, "calls": calls})["seconds"])

    def forget(self, handle: int) -> None:
        """Give up what was prepared; where it has ended there is nothing to give up."""
        if self.is_alive:
            self._ask({"forget": handle})

    def _file(self, name: str) -> _Removed:
        return _Removed(Path(self._folder.name) / name)

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request.

        Raises:
            MemoryError: There is not enough of it.
            PeerError: The request failed.
            CrashedError: The process ended.
        """
        assert self._popen.stdin
        assert self._popen.stdout
        try:
            self._popen.stdin.write(json.dumps(request) + "\n")
            self._popen.stdin.flush()
            line = self._popen.stdout.readline()
        except (BrokenPipeError, ValueError):
            line = ""
        if not line:
            raise CrashedError(f"the process of {self.name} ended with code {self._popen.wait()}{self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if answer.get("fault") == "memory":
            raise MemoryError(answer["text"])
        if "fault" in answer:
            raise _RaisedError(answer["text"])
        return answer

    def _last_words(self) -> str:
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 4096))
        lines = self._errors.read().decode("utf-8", "replace").splitlines()
        last = next((" ".join(line.split())[:200] for line in reversed(lines) if line.strip()), "")
        return f"; last words: {last}" if last else ""


class _RaisedError(JacstratError):
    """What a side has raised, in its words."""


class _Removed:
    """A path whose file is removed at the end of the block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Path:
        return self._path

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)


def _end(popen: subprocess.Popen[str], folder: tempfile.TemporaryDirectory[str]) -> None:
    popen.kill()
    for pipe in (popen.stdin, popen.stdout):
        with suppress(BrokenPipeError):  # what was not sent is for nobody any more
            if pipe:
                pipe.close()
    popen.wait()
    folder.cleanup()


def surroundings(environ: Mapping[str, str], device: str, threads: int, is_ours: bool) -> dict[str, str]:
    """The environment variables of a peer's process.

    Args:
        environ: Of this process.
        device, threads: As of a Process.
        is_ours: It runs on this Python, and is to find what this one finds; else that is none of its business.
    """
    variables = {name: value for name, value in environ.items() if is_ours or not name.startswith("PYTHON")}
    if is_ours:
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    kind, _, index = device.partition(":")
    cards = [card for card in environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if card]
    number = int(index or 0)
    card = cards[number] if number < len(cards) else str(number)
    return variables | {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        # What XLA takes for the number of cores.
        "NPROC": str(threads),
        "JAX_PLATFORMS": kind,
        "CUDA_VISIBLE_DEVICES": card if kind == "cuda" else "",
        # Else JAX takes three quarters of a card at its start, and leaves nothing to the others of the cell.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }


_PROCESSES: dict[tuple[object, ...], Process] = {}


def process_of(name: str, python: str, side: Path, device: str, threads: int) -> Process:
    """The process of a peer for a device and so many threads: one for all operators that are prepared in it."""
    key = (os.getpid(), name, python, side, device, threads)
    if key not in _PROCESSES or not _PROCESSES[key].is_alive:
        _PROCESSES[key] = Process(name, python, side, device, threads)
    return _PROCESSES[key]


def end_all() -> None:
    """End the processes of all peers that this one has started."""
    for key in [key for key in _PROCESSES if key[0] == os.getpid()]:
        _PROCESSES.pop(key).end()
