"""One thread at a time, in what torch and Python keep once for the process.

That is the level of forward mode, the patches that torch.fx makes while it traces, the loggers that are silenced then,
and `autograd.Function.apply`, which a recording looks at. One turn serves all of it, so that no two threads wait for
each other.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from threading import RLock
from typing import Any

from jacstrat.core.errors import UnsupportedError

# So long it is waited before anybody looks who waits for whom.
LOOK_S = 1.0


class Turn:
    """A lock that its own thread enters again, as a product of a product does, and that a fork does not inherit.

    Another thread may hold it while the process is forked, and would never let go of it in the child.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._holder = 0
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        # What the thread that forks has entered, as where f forks while it is traced, it leaves in the child, too.
        if not self._lock._is_owned():  # type: ignore[attr-defined]
            self._lock = RLock()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            while not self._lock.acquire(timeout=LOOK_S):
                if _waits_for_this_thread(self._holder):
                    raise UnsupportedError(
                        "a function that is being recorded, or is in forward mode, waits for a thread which it has "
                        "given work that needs the same; one thread at a time can do that"
                    )
        self._holder = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _waits_for_this_thread(holder: int) -> bool:
    """Whether the thread that holds a turn has called what ends no sooner than this thread: `join`, or `result`."""
    mine = {id(threading.current_thread())}
    mine |= {id(getattr(one, "future", None)) for one in _selves(threading.get_ident())} - {id(None)}
    return any(id(one) in mine for one in _selves(holder))


def _selves(thread: int) -> Iterator[Any]:
    """What the methods that a thread is in are those of."""
    frame = sys._current_frames().get(thread)
    while frame is not None:
        code = frame.f_code
        if code.co_argcount and code.co_varnames[0] == "self":
            yield frame.f_locals.get("self")
        frame = frame.f_back


TURN = Turn()
