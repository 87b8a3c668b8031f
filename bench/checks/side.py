"""The process of one side, spoken to over pipes; see sides/protocol.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from jacstrat.core.errors import UsageError

from .cells import THREADS

HERE = Path(__file__).parent / "sides"
ROOT = Path(__file__).parents[2]
# Compiling a cell in every setting, and the longest block.
PREPARE_LIMIT_S, RUN_LIMIT_S = 1200.0, 120.0


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment.

    Raises:
        UsageError: It has not been made.
    """
    python = ROOT / ".peers" / peer / "bin" / "python"
    if not python.exists():
        raise UsageError(f"{peer} has no environment; run `bash scripts/peers/setup {peer}`")
    return python


class Side:
    """A process that prepares cells and runs them; a context manager, which ends it.

    Args:
        name: "jacstrat", "jet" or "folx".
    """

    def __init__(self, name: str) -> None:
        self.name = name
        python = sys.executable if name == "jacstrat" else str(python_of(name))
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(THREADS))
        # A peer has an environment of its own: what this one is told of modules is none of its business.
        others = {k: v for k, v in os.environ.items() if name == "jacstrat" or not k.startswith("PYTHON")}
        self._process = subprocess.Popen(
            [python, str(HERE / f"{name}_side.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=others | threads | {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""},
        )

    def __enter__(self) -> Side:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def prepare(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask(request, PREPARE_LIMIT_S)

    def seconds(self, setting: str, calls: int) -> float:
        """Seconds of so many calls."""
        return float(self._ask({"run": setting, "calls": calls}, RUN_LIMIT_S)["seconds"])

    def _ask(self, request: Mapping[str, Any], limit_s: float) -> dict[str, Any]:
        """The answer to a request.

        Raises:
            RuntimeError: The process ended, or was ended after the limit.
        """
        assert self._process.stdin
        assert self._process.stdout
        watch = threading.Timer(limit_s, self._process.kill)
        watch.start()
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watch.cancel()
        if not line:
            raise RuntimeError(f"the process of {self.name} ended, or gave no answer within {limit_s:g} s: {request}")
        return dict(json.loads(line))
