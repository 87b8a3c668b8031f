"""The parent of both sides: has torch loaded, and neither revision.

Two processes that import torch by themselves differ by 5 to 10 % in the time of the same code, however often they are
measured; two children of one parent, which share its pages, by 1 to 3 %. So this file is run by its path and imports
nothing of jacstrat: each child imports that of its own revision. It runs no torch operation, since thread pools do not
survive a fork.

It serves one socket: a request is a line of JSON with descriptors beside it, and so is the answer, without them. When
the socket closes, however its other end has ended, it kills its children and ends.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

# What both sides import anyway, torch's late imports among them; what is not installed is left out.
PRELOAD = (
    "numpy",
    "scipy.linalg",
    "scipy.sparse",
    "scipy.stats",
    "networkx",
    "psutil",
    "torch",
    "torch._decomp.decompositions_for_jvp",
    "torch._dynamo",
    "torch.func",
    "torch.fx.experimental.proxy_tensor",
    "torch.fx.experimental.symbolic_shapes",
    "torch.utils.flop_counter",
)


def main() -> None:
    """Serve the socket whose descriptor is the first argument."""
    control = socket.socket(fileno=int(sys.argv[1]))
    for module in PRELOAD:
        with suppress(ImportError):
            importlib.import_module(module)
    side = _neighbour("side")
    if loaded := [name for name in sys.modules if name.split(".")[0] == "jacstrat"]:
        raise RuntimeError(f"the parent must have neither revision loaded, it has {loaded[0]}")
    # What is here at the fork is no garbage of the child's: walking it would copy its pages.
    gc.collect()
    gc.freeze()
    children: set[int] = set()
    _answer(control, {"torch": "torch" in sys.modules})
    try:
        while True:
            request, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 2)
            if not request:
                return
            order = json.loads(request)
            if order["do"] == "fork":
                pid = os.fork()
                if pid == 0:
                    control.close()
                    _become_child(order, descriptors, side)
                children.add(pid)
                for descriptor in descriptors:
                    os.close(descriptor)
                _answer(control, {"pid": pid})
            else:
                ended = order["pid"] in children
                children.discard(order["pid"])
                _answer(control, {"status": _end(order["pid"], order["grace_s"]) if ended else 0})
    finally:
        for pid in children:
            _end(pid)


def _become_child(order: dict[str, Any], descriptors: list[int], side: ModuleType) -> None:
    """A group of its own, so that what f starts ends with it; pinned; no terminal."""
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        channel, errors = descriptors
        null = os.open(os.devnull, os.O_RDWR)
        for standard, opened in ((0, null), (1, null), (2, errors)):
            os.dup2(opened, standard)
        if order["cores"] and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, order["cores"])
        side.die_with(os.getppid())
        side.serve(socket.socket(fileno=channel))
    finally:
        sys.stderr.flush()
        os._exit(1)


def _end(pid: int, grace_s: float = 0.0) -> int:
    """Kill a child with its group, and say how it had ended: its exit code, or minus its signal.

    A child that is dying closes its socket a while before it is dead: it has a grace.
    """
    deadline = time.monotonic() + grace_s
    done, status = os.waitpid(pid, os.WNOHANG)
    while done == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
        done, status = os.waitpid(pid, os.WNOHANG)
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
    if done == 0:
        os.waitpid(pid, 0)
        return 0
    return os.waitstatus_to_exitcode(status)


def _answer(control: socket.socket, value: dict[str, Any]) -> None:
    control.sendall(json.dumps(value).encode() + b"\n")


def _neighbour(name: str) -> ModuleType:
    """The file beside this one, as a module of no package."""
    spec = importlib.util.spec_from_file_location(f"{name}_of_two", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
