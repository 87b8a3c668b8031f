"""Another process that keeps a core busy."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

# It ends by itself when whoever started it is gone, however that ended.
PROGRAM = "import os, sys\nwhile os.getppid() == int(sys.argv[1]):\n    pass"


@contextmanager
def busy_core() -> Iterator[Callable[[], float]]:
    """A child that spins as long as the block lasts.

    Yields:
        A function that says which share of a core the child has had so far.
    """
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, str(psutil.Process().pid)])
    begin = time.perf_counter()

    def share() -> float:
        used = psutil.Process(child.pid).cpu_times()
        return (used.user + used.system) / (time.perf_counter() - begin)

    try:
        yield share
    finally:
        child.kill()
        child.wait()
