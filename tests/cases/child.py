"""A process that judges cases, so that a case that ends it is a fault of a strategy, and no test beside it is lost."""

from __future__ import annotations

import faulthandler
import gc
import json
import logging
import os
import subprocess
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import torch

from jacstrat.strategies.auto import trial
from tests.cases.case import Case
from tests.cases.table import CASES
from tests.cases.verdict import Seen, judged, tried

ROOT = Path(__file__).parents[2]


class Child:
    """The process, started when it is needed, and again behind whatever ended it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the process

    def judge(self, case: Case, operator: str) -> list[Seen]:
        """What strategies do with a case; where one of them ends the process, that alone."""
        process, at, is_over = self._started(), "nothing yet", False
        try:
            process.stdin.write(f"{json.dumps([case.name, operator])}\n")
            process.stdin.flush()
            for line in process.stdout:
                at, found = json.loads(line)
                if found is not None:
                    is_over = True
                    return [Seen(*one) for one in found]
        except BrokenPipeError:
            pass
        finally:
            if not is_over:  # it died, or a timeout of the test leaves it in the middle of a case
                last_words = self._last_words()
                self._stop()
        return [Seen(at, "process", "fault", last_words)]

    def close(self) -> None:
        """End the process, and forget what it said."""
        self._stop()
        self._errors.close()

    def kill(self) -> None:
        """End the process as a segmentation fault does, behind the back of this object."""
        self._started().kill()
        self._started().wait()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._errors.seek(0)
            self._errors.truncate()
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.cases.child"],
                cwd=ROOT,
                stdin=pipe,
                stdout=pipe,
                stderr=self._errors,
                text=True,
            )
        return self._process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            with suppress(BrokenPipeError):  # what was not sent is for nobody any more
                self._process.stdin.close()
            self._process.stdout.close()
            self._process = None

    def _last_words(self) -> str:
        """How the process ended, and where in Python it was."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "is still at work"
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors]
        frames = [line for line in lines if line.startswith("File ")]
        where = next((frame for frame in frames if "jacstrat" in frame), "".join(frames[:1]))
        return f"ends the process, exit code {code}: {where or ' '.join(lines[-3:])}"


def _serve() -> None:
    """In the child: read [case, operator], write [strategy, null] before each strategy, and at last ["", verdict]."""
    messages = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what f prints is no message
    faulthandler.enable()
    warnings.filterwarnings("ignore")
    logging.disable(logging.ERROR)
    torch.set_num_threads(1)
    # A trial calls the most promising a few times and is over.
    trial.ALLOWANCE_S = trial.LEAST_S = 0.0
    gc.freeze()

    def send(at: str, found: list[Seen] | None) -> None:
        print(json.dumps([at, found]), file=messages, flush=True)

    for line in sys.stdin:
        name, operator = json.loads(line)
        try:
            strategies = tried([*CASES].index(name), operator)
            found = judged(CASES[name], operator, strategies, lambda strategy: send(strategy, None))
        except Exception as error:
            found = [Seen("the truth", "none", "fault", f"{type(error).__name__}: {error}")]
        send("", found)


if __name__ == "__main__":
    _serve()
