"""The progress of a run on a terminal: a bar, the case under way, the time left. Quiet where there is none."""

from __future__ import annotations

from types import TracebackType

from rich import progress as rich_progress
from rich.console import Console
from rich.markup import escape

from jacstrat.core.case import Case
from jacstrat.core.text import printable
from jacstrat.record import Record


class Progress:
    """An observer of a run that draws on a console."""

    def __init__(self, console: Console) -> None:
        self._bar = rich_progress.Progress(
            rich_progress.BarColumn(bar_width=20),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TimeRemainingColumn(compact=True),
            rich_progress.TextColumn("{task.description}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
            refresh_per_second=2,
        )
        self._task = self._bar.add_task("starting", total=None)
        self._shown = self._text = self._crowd = ""

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def started(self, done: int, total: int) -> None:
        self._bar.update(self._task, total=total, completed=done)

    def attending(self, case: Case) -> None:
        if case.key != self._shown:
            self._shown = case.key
            size = f"n={case.n} B={case.batch} {case.dtype} {case.device}"
            self._text = f"{case.problem} {case.operator} {size}: {case.strategy}"
            self._describe()

    def _describe(self) -> None:
        self._bar.update(self._task, description=escape(printable(self._crowd + self._text)))

    def under_way(self, cells: int, workers: int) -> None:
        # One at a time on this machine goes without saying.
        if self._crowd or (cells, workers) != (1, 1):
            self._crowd = f"{cells} cells at {workers} workers; "
            self._describe()

    def finished(self, record: Record) -> None:
        self._bar.advance(self._task)
