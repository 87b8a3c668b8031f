"""Signals that end a command as Ctrl-C does, so that it leaves nothing behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[None]:
    """Have SIGTERM, with which CI cancels a job, and SIGHUP, of a terminal that is closed, raise KeyboardInterrupt in
    the block; what is ignored already, as under nohup, stays ignored. Signals are the first thread's: in another one
    nothing is changed."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in (getattr(signal, name) for name in names)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            # None is a handler that was not installed from Python.
            if handler is not None:
                signal.signal(number, handler)
