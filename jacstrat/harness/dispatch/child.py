"""What runs in an isolated child: work on a cell, its outcomes sent to the parent as they come, and on the next.

The fork server imports this module and those of the work before it forks, torch with them, so that a child starts in
milliseconds. Importing must therefore run no torch operation: a thread pool that it started would not survive the fork.
"""

from __future__ import annotations

import base64
import gc
import importlib
import mmap
import os
import pickle
import socket
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from struct import Struct
from typing import Any

from jacstrat.core.case import F
from jacstrat.core.errors import in_words
from jacstrat.core.forks import answer, detach, die_with, redirect, request, serve
from jacstrat.core.frames import Sender, out_of_the_way
from jacstrat.core.torch_parts import import_torch_parts
from jacstrat.harness.dispatch.caller import adopt
from jacstrat.harness.plan.cases import Cell
from jacstrat.measure.context import ContextLostError

# Where a child's work is, imported before the fork.
PRELOAD = ("jacstrat.harness.cell.measuring", "jacstrat.harness.cell.profiling", "jacstrat.harness.plan.predict")
# The exit code of a child that can do nothing more on its device.
CONTEXT_LOST = 75
# What a task comes with: its channel, its shared memory and its file of errors.
DESCRIPTORS = 3
# Thread stacks and the allocator's arenas, which no tensor asked for.
SLACK_BYTES = 2**30
# The position of the strategy whose code runs (0 is f), and how often that was said: shared memory, since a message
# would wake the parent beside a measurement. No time: the parent has a clock of its own, that f does not come to.
ATTENDED = Struct("qq")


@dataclass(frozen=True)
class ChildLimits:
    """What a case may use: seconds without a sign of life, and bytes above what the child has at its start."""

    timeout_s: float
    memory_bytes: int


def main() -> None:
    """The fork server: serve the socket whose descriptor is the first argument, torch loaded."""
    control = socket.socket(fileno=int(sys.argv[1]))
    # Torch's own, which PYTHONWARNINGS=error would make errors of.
    warnings.filterwarnings("ignore", module=r"torch\b")
    for module in PRELOAD:
        importlib.import_module(module)
    import_torch_parts()
    # What is here at the fork is no garbage of the child's: walking it would copy its pages, 0.2 s a child.
    gc.collect()
    gc.freeze()
    answer(control, {"ready": True})
    server = os.getpid()

    def become(order: dict[str, Any], descriptors: Sequence[int]) -> None:
        die_with(server)
        detach()
        # A child that is kept has a fourth: the socket that its next order comes from, as the first one came.
        first, inherited = descriptors[:DESCRIPTORS], descriptors[DESCRIPTORS:]
        orders = [socket.socket(fileno=out_of_the_way(descriptor)) for descriptor in inherited]
        asked: tuple[dict[str, Any], Sequence[int]] | None = (order, first)
        while asked is not None and _do_next(*asked) and orders:
            asked = request(orders[0])

    serve(control, become)


def _do_next(order: dict[str, Any], descriptors: Sequence[int]) -> bool:
    """Do a task, with all that belongs to it alone; whether another can follow."""
    channel, state, errors = descriptors
    redirect(errors)
    with mmap.mmap(state, ATTENDED.size) as attended:
        os.close(state)
        adopt(order["caller"])
        work, cell, limits = pickle.loads(base64.b64decode(order["work"]))
        channel = out_of_the_way(channel)
        if cell.device == "cpu":
            _limit_memory(limits.memory_bytes)
        if not do(work, cell, Sender(channel, bytes.fromhex(order["key"])), attended):
            return False
    # f may have closed it.
    with suppress(OSError):
        os.close(channel)
    _tidy(cell.device)
    return True


def _tidy(device: str) -> None:
    """Leave nothing of a cell to the next one: its tensors, what the allocator keeps for more, what was compiled."""
    import torch

    gc.collect()
    torch.compiler.reset()
    if device != "cpu" and torch.accelerator.is_available():
        torch.accelerator.empty_cache()


def do(work: Callable[..., Iterable[Any]], cell: Cell, sender: Sender, attended: mmap.mmap) -> bool:
    """Do the work on the cell and send each outcome, then how it ended; whether it came to its end.

    Args:
        work: work(cell, attend=...) makes the outcomes; `attend` is to be told the strategy whose code is about to run.
        cell: What to work on.
        sender: Takes {"message": ...} for each outcome, and {"end": None}, or {"end": reason} where f ended the work.
        attended: Shared memory, ATTENDED.
    """
    positions = {name: position for position, name in enumerate((F, *cell.strategies))}
    said = 0
    process = os.getpid()

    def attend(name: str) -> None:
        nonlocal said
        if os.getpid() == process:
            said += 1
            attended[: ATTENDED.size] = ATTENDED.pack(positions[name], said)

    try:
        for outcome in work(cell, attend=attend):
            sender.send({"message": outcome.to_data()})
    except BaseException as error:
        # Ctrl-C does not reach this session of its own: f raised it.
        if isinstance(error, ContextLostError):
            # Another process has to go on; the parent reads the reason there.
            print(error, file=sys.stderr, flush=True)
            os._exit(CONTEXT_LOST)
        words = "KeyboardInterrupt raised by f" if isinstance(error, KeyboardInterrupt) else in_words(error)
        # Where f has closed the channel this raises in its turn, and stands among the last words.
        sender.send({"end": words})
        return False
    sender.send({"end": None})
    return True


def _limit_memory(memory_bytes: int) -> None:
    """Let an allocation beyond the limit fail at once, where the system can: that is a row, not a dead machine."""
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/status") as status:
        data_kib = next(int(line.split()[1]) for line in status if line.startswith("VmData"))
    # The system's own number has 64 bits; a limit beyond is none.
    limit = min(data_kib * 1024 + memory_bytes + SLACK_BYTES, 2**63 - 1)
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
