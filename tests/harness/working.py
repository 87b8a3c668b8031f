"""Work for children that does nothing but tell who does it, or die."""

from __future__ import annotations

import os
import sys
import time
import weakref
from contextlib import suppress
from typing import NamedTuple

from jacstrat.measure.context import ContextLostError


class Told(NamedTuple):
    """What `tells` sends of a case: who did it, and whether garbage of the task before is gone."""

    settles: str
    process: int = 0
    tidy: bool = True
    death: str = ""

    def to_data(self):
        return self._asdict()

    @classmethod
    def parse(cls, cell, data):
        return cls(**data)


_LEFT: list[weakref.ref] = []
# Descriptors of the channels of earlier tasks.
_KEPT: list[int] = []


class _Cycle:
    def __init__(self) -> None:
        self.itself = self


def tells(cell, attend):
    """Work for a child: a message a strategy; one whose name says so ends the process, f where the problem does."""
    tidy = all(left() is None for left in _LEFT)
    _LEFT.append(weakref.ref(_Cycle()))
    attend("f")
    for one in _KEPT:
        with suppress(OSError):
            os.write(one, b"mine" * 64)
    if cell.problem.endswith("late") and len(_LEFT) > 1:
        os._exit(3)
    for strategy in cell.strategies:
        attend(strategy)
        if strategy == "aborts":
            print("mine: I abort", file=sys.stderr, flush=True)
            os.abort()
        if strategy == "exits":
            os._exit(3)
        if strategy == "speaks":
            print("mine: I live", file=sys.stderr, flush=True)
        if strategy == "keeps_its_channel":
            _KEPT.extend(os.dup(one) for one in _open("pipe"))
        if strategy == "refuses_more":
            for one in _open("socket"):
                os.close(one)
        if strategy == "loses_its_device":
            raise ContextLostError("mine: an illegal access")
        if strategy == "hangs":
            time.sleep(60)
        yield Told(strategy, os.getpid(), tidy)


def _open(kind):
    """Descriptors of a kind that this process has open, "pipe" or "socket", standard ones apart."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if int(name) > 2 and os.readlink(f"/proc/self/fd/{name}").startswith(f"{kind}:"):
                found.append(int(name))
    return found


def died(case, status, reason):
    return Told(case.strategy, death=f"{status}: {reason}")
