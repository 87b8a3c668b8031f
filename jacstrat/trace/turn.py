"""One thread at a time, in what torch and Python keep once for the process.

That is the level of forward mode, the patches that torch.fx makes while it traces, the loggers that are silenced then,
and `autograd.Function.apply`, which a recording looks at. One turn serves all of it, so that no two threads wait for
each other.
"""

from __future__ import annotations

import os
from threading import RLock


class Turn:
    """A lock that its own thread enters again, as a product of a product does, and that a fork does not inherit.

    Another thread may hold it while the process is forked, and would never let go of it in the child.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        # What the thread that forks has entered, as where f forks while it is traced, it leaves in the child, too.
        if not self._lock._is_owned():  # type: ignore[attr-defined]
            self._lock = RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


TURN = Turn()
