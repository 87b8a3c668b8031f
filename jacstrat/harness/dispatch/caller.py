"""What a function finds of the process that asked for it: working directory, path of modules, environment.

A fork server has those of its start for good; a notebook changes its own between two runs. So each task carries them.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

from jacstrat.harness.dispatch.strays import MARK


def search_path() -> list[str]:
    """Where this process looks for modules, but for the working directory, which holds what is not meant."""
    return [entry for entry in sys.path if entry]


def caller_state() -> dict[str, Any]:
    """That of this process, as plain JSON."""
    directory = None
    with suppress(OSError):
        # Removed beneath this process.
        directory = os.getcwd()
    return {"directory": directory, "path": search_path(), "environment": dict(os.environ)}


def adopt(state: dict[str, Any]) -> None:
    """Have that state in this process, which keeps its own mark; a directory that is gone is not entered."""
    if state["directory"] is not None:
        with suppress(OSError):
            os.chdir(state["directory"])
    sys.path[:] = state["path"]
    wanted = state["environment"] | ({MARK: os.environ[MARK]} if MARK in os.environ else {})
    for name in set(os.environ) - set(wanted):
        del os.environ[name]
    # Only what differs: each is a call of the C library.
    os.environ.update({name: value for name, value in wanted.items() if os.environ.get(name) != value})
