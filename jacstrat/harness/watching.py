"""The progress of `benchmark` where somebody looks: a line on a terminal, or in a notebook; nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from html import escape
from importlib import import_module
from types import TracebackType
from typing import Any

from jacstrat.core.case import F

PAUSE_S = 0.25
"""The least time between two lines: what is shown takes its turn between samples, not within one."""

Show = Callable[[str], None]


class Watching:
    """Told whose code is about to run, as `harness.cell.measuring.measure` tells it, it shows how far the measurement
    is.

    It has no thread, which would take its turns within samples.

    Args:
        strategies: Those that are measured.
        show: Shows a line in the place of the one before; "" for none.
        clock: Seconds.
    """

    def __init__(self, strategies: Sequence[str], show: Show, clock: Callable[[], float] = time.monotonic) -> None:
        self._left = list(strategies)
        self._total = len(self._left)
        self._show, self._clock = show, clock
        self._begun = clock()
        self._shown = -PAUSE_S

    def __enter__(self) -> Watching:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._show("")

    def attend(self, name: str) -> None:
        """The code of a strategy, or of f, is about to run."""
        if name in self._left:
            self._left.remove(name)
        now = self._clock()
        if now - self._shown < PAUSE_S:
            return
        self._shown = now
        done = self._total - len(self._left)
        if self._left:
            what = "f and the reference" if name == F else name
            self._show(f"preparing {what}: {done} of {self._total}")
        else:
            self._show(f"measuring {self._total} side by side: {now - self._begun:.0f} s")


def shown_by(progress: bool | None) -> Show:
    """What shows progress here.

    Args:
        progress: Show it, or not; None where a terminal or a notebook is there to see it.
    """
    if progress is False:
        return lambda text: None
    if (display := _notebook()) is not None:
        return _in_cell(display)
    if progress or (sys.stderr is not None and sys.stderr.isatty()):
        return _on_terminal
    return lambda text: None


def _on_terminal(text: str) -> None:
    sys.stderr.write(f"\r\x1b[K{text}")
    sys.stderr.flush()


def _notebook() -> Callable[..., Any] | None:
    """IPython's `display`, in the kernel of a notebook; nothing is imported that is not there already."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    display: Callable[..., Any] = import_module("IPython.display").display
    return display


def _in_cell(display: Callable[..., Any]) -> Show:
    handle: Any = None

    def show(text: str) -> None:
        nonlocal handle
        data = {"text/plain": text, "text/html": f"<i>{escape(text)}</i>" if text else ""}
        if handle is None:
            handle = display(data, raw=True, display_id=True)
        else:
            handle.update(data, raw=True)

    return show
