"""Fields x -> sin(x) that break the interpreter, flood the output or take memory and files first.

The docstring of each begins with the statuses that its rows may have. See `hostile.py`.
"""

from __future__ import annotations

import builtins
import contextlib
import faulthandler
import gc
import mmap
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import warnings
import weakref
from pathlib import Path

import torch

_CALLS: list[int] = []
_HELD: list[object] = []


def _nth() -> int:
    """How often it was called in this process."""
    _CALLS.append(1)
    return len(_CALLS)


def breaks_builtins(x):
    """ok or error or crashed: len and isinstance replaced."""
    builtins.len = lambda thing: 0
    builtins.isinstance = lambda thing, kinds: True
    return torch.sin(x)


def breaks_modules(x):
    """ok or error or crashed: Modules taken away."""
    for name in [name for name in sys.modules if name.startswith(("jacstrat", "numpy"))]:
        del sys.modules[name]
    return torch.sin(x)


def breaks_the_harness(x):
    """ok or error or crashed: A function of the harness replaced."""
    import jacstrat.harness.cell.columns as columns

    columns._exact = None
    return torch.sin(x)


def low_recursion(x):
    """error or crashed or unsupported: Hardly any recursion."""
    sys.setrecursionlimit(40)
    return torch.sin(x)


def traces_every_line(x):
    """ok or timeout: A tracer in every frame."""
    sys.settrace(lambda *args: None)
    sys.setprofile(lambda *args: None)
    return torch.sin(x)


def tracer_that_raises(x):
    """ok or error or crashed or unsupported: A tracer that raises."""

    def trace(*args):
        raise RuntimeError("traced")

    sys.settrace(trace)
    return torch.sin(x)


def warnings_as_errors(x):
    """ok or error or unsupported: Warnings become errors."""
    warnings.simplefilter("error")
    warnings.warn("mine", stacklevel=1)
    return torch.sin(x)


def no_garbage_collection(x):
    """ok: Collection off, and cycles without an end."""
    gc.disable()
    for _ in range(1000):
        one: list = []
        one.append(one)
    return torch.sin(x)


def finalizer_that_hangs(x):
    """timeout or ok: A finalizer that never ends."""

    class HangingFinalizer:
        def __del__(self):
            time.sleep(1e6)

    HangingFinalizer()
    return torch.sin(x)


def finalizers_that_raise(x):
    """ok: Finalizers that raise."""

    class RaisingFinalizer:
        def __del__(self):
            raise RuntimeError("in __del__")

    one = RaisingFinalizer()
    weakref.finalize(one, lambda: 1 / 0)
    return torch.sin(x)


def faulthandler_exits(x):
    """crashed or timeout: A watchdog that ends the process."""
    faulthandler.dump_traceback_later(0.2, exit=True)
    time.sleep(2)
    return torch.sin(x)


def other_handlers(x):
    """ok: Handlers of all signals."""
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    return torch.sin(x)


def threads_without_end(x):
    """ok or error: Forty threads that spin now and then."""

    def spin():
        while True:
            time.sleep(0.01)

    if _nth() == 1:
        for _ in range(40):
            threading.Thread(target=spin, daemon=True).start()
    return torch.sin(x)


def floods_standard_error(x):
    """timeout: Standard error without an end."""
    while True:
        os.write(2, b"y" * 65536)


def floods_standard_output(x):
    """timeout: Standard output without an end."""
    while True:
        os.write(1, b"x" * 65536)


def truncates_its_errors(x):
    """crashed: Standard error cut and sought, then the end."""
    os.write(2, b"words\n")
    with contextlib.suppress(OSError):
        os.ftruncate(2, 0)
        os.lseek(2, 2**40, os.SEEK_SET)
    os.write(2, b"last words of mine\n")
    os._exit(4)


def writes_no_text(x):
    """crashed: Standard error that is no text, then the end."""
    os.write(2, bytes(range(256)) * 20 + b"\n\x1b[2J\x1b]0;mine\x07\n")
    os._exit(5)


def allocates_behind_torch(x):
    """oom or timeout: Memory that torch does not know of, page by page."""
    hoard = [bytearray(os.urandom(1 << 20)) for _ in range(700)]
    time.sleep(0.3)
    return torch.sin(x) + len(hoard) * 0


def allocates_at_once(x):
    """oom or error: A hundred gigabytes."""
    return torch.sin(x) + torch.ones(100 * 10**9, dtype=torch.uint8)[0]


def maps_shared_memory(x):
    """ok or oom or error: Shared memory, which is nobody's."""
    _HELD.append(mmap.mmap(-1, 64 << 20))
    return torch.sin(x)


def goes_elsewhere(x):
    """ok: Another working directory, that is gone, and another mask."""
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)
    os.umask(0o777)
    return torch.sin(x)


def empties_the_temporary_folder_of_the_run(x):
    """ok or error: The folder of references removed."""
    for folder in Path(tempfile.gettempdir()).glob("jacstrat-run-*"):
        # Of this run alone: others run beside it.
        if folder.name.split("-")[2] == os.environ.get("JACSTRAT_RUN", "").partition(".")[0]:
            shutil.rmtree(folder, ignore_errors=True)
    return torch.sin(x)


def changes_the_environment(x):
    """ok: All variables gone."""
    os.environ.clear()
    return torch.sin(x)


def forbids_files(x):
    """ok or error or crashed: No file may grow."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    return torch.sin(x)


def draws_from_seeds(x):
    """ok: Seeds and dtypes set."""
    random.seed(0)
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float16)
    torch.use_deterministic_algorithms(True)
    return torch.sin(x)


def changes_torch(x):
    """ok or wrong or error or crashed or unsupported: torch.sin replaced."""
    torch.sin = torch.cos
    return torch.sin(x)
