"""Rows of `fused.py` by processes of their own: a kernel that ends the device's context, or its process, ends no other.

python -m checks.fused_apart DEVICE SECONDS, with [[cell, spec], ...] as JSON on its input: a row a line, as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from jacstrat.measure.context import is_lost

from .deadline import Deadline
from .fused import FusedCell, FusedRow, rows_of

BENCH = Path(__file__).parents[1]
# The exit code of a process that can do nothing more on its device.
CONTEXT_LOST = 75
# How long after the limit what was begun may take.
GRACE_S = 30.0

Asked = Sequence[tuple[FusedCell, str]]
Start = Callable[[Asked, str, float], "subprocess.Popen[str]"]


def rows_apart(asked: Asked, device: str, limit_s: float, start: Start | None = None) -> Iterator[FusedRow]:
    """A row for each spec in its cell. Behind one that has ended its process a fresh one goes on.

    Args:
        asked: Cells and specs, those of a cell one after the other.
        device: Where.
        limit_s: Seconds after which nothing further is begun.
        start: Starts a process that measures what it is given, and prints its rows.
    """
    deadline, left = Deadline(limit_s), list(asked)
    start = _start if start is None else start
    while left and not deadline.is_over():
        process = start(left, device, deadline.left_s())
        # No thread of this process waits for the device, so that what hangs there is ended from here.
        timer = threading.Timer(min(deadline.left_s() + GRACE_S, threading.TIMEOUT_MAX), process.kill)
        timer.daemon = True
        timer.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                row = FusedRow(**json.loads(line))
                left.pop(0)
                yield row
        finally:
            timer.cancel()
            process.kill()
            code = process.wait()
        if left and code != CONTEXT_LOST:
            cell, spec = left.pop(0)
            yield FusedRow(cell.name, spec, reason=f"its process ended, by {_end(code)}")
    for cell, spec in left:
        yield FusedRow(cell.name, spec, reason=f"not reached in {limit_s:.0f} s")


def _end(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _start(asked: Asked, device: str, limit_s: float) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(BENCH.parent), str(BENCH), *filter(None, sys.path)])}
    command = [sys.executable, "-m", "checks.fused_apart", device, str(limit_s)]
    process = subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    with process.stdin as orders:
        json.dump([(asdict(cell), spec) for cell, spec in asked], orders)
    return process


def main(device: str, limit_s: str) -> None:
    """Measure what the input asks for; CONTEXT_LOST where the device is lost behind a row."""
    asked = [(_cell(data), spec) for data, spec in json.load(sys.stdin)]
    for row in rows_of(asked, device, float(limit_s)):
        print(json.dumps(asdict(row)), flush=True)
        if row.reason and is_lost(torch.device(device)):
            os._exit(CONTEXT_LOST)


def _cell(data: dict[str, Any]) -> FusedCell:
    return FusedCell(**data | {"widths": tuple(data["widths"])})


if __name__ == "__main__":
    main(*sys.argv[1:])
