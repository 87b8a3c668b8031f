"""The parent of both sides: has torch loaded, and neither revision.

Two processes that import torch by themselves differ by 5 to 10 % in the time of the same code, however often they are
measured; two children of one parent, which share its pages, by 1 to 3 %. So this file is run by its path and imports
nothing of jacstrat: each child imports that of its own revision. It runs no torch operation, since thread pools do not
survive a fork.

It serves one socket as `core/forks.py` does, which it loads by its path, too.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import socket
import sys
from collections.abc import Sequence
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
    here = Path(__file__).resolve().parent
    core = here.parent / "core"
    side, forks, frames = map(_alone, (here / "side.py", core / "forks.py", core / "frames.py"))
    if loaded := [name for name in sys.modules if name.split(".")[0] == "jacstrat"]:
        raise RuntimeError(f"the parent must have neither revision loaded, it has {loaded[0]}")
    # What is here at the fork is no garbage of the child's: walking it would copy its pages.
    gc.collect()
    gc.freeze()
    forks.answer(control, {"ready": True})
    parent = os.getpid()

    def become(order: dict[str, Any], descriptors: Sequence[int]) -> None:
        """Pinned, with no terminal, in a group of its own, so that what f starts ends with it."""
        forks.die_with(parent)
        requests, answers, errors = descriptors
        forks.detach()
        forks.redirect(errors)
        if order["cores"] and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, order["cores"])
        sender = frames.Sender(frames.out_of_the_way(answers), bytes.fromhex(order["key"]))
        side.serve(frames.out_of_the_way(requests), sender)

    forks.serve(control, become)


def _alone(file: Path) -> ModuleType:
    """A file of jacstrat's that imports nothing of it, as a module of no package."""
    spec = importlib.util.spec_from_file_location(f"{file.stem}_of_two", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
