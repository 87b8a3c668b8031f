"""Where jobs are done: an executor as of concurrent.futures, and what there is room for. This process is one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from jacstrat.core.case import Case
from jacstrat.harness.isolation import Children
from jacstrat.harness.job import Done, Job, machine_here, outcomes


class Pool(Protocol):
    """Where the jobs of a run are done."""

    def room(self, device: str, under_way: Mapping[Future[Done], Job]) -> bool:
        """Whether a job on the device can be taken besides those under way."""

    def submit(self, job: Job, near: str) -> Future[Done]:
        """Have a job done, at the place that `near` names as long as it is there; empty for any.

        A row is written for each outcome of the result, in this thread.
        """

    def wait(self, under_way: Collection[Future[Done]]) -> Collection[Future[Done]]:
        """Those that have ended, after a while also none.

        Raises:
            JacstratError: The jobs will not end.
        """

    def result(self, future: Future[Done], job: Job) -> Done | None:
        """What came of a job; None where it is to be submitted again."""

    def workers(self) -> int:
        """How many there are now."""


class InProcess(Executor):
    """An executor with one slot: `submit` does the work before it returns, in the caller's thread.

    What the work raises is raised there and then, with its traceback: KeyboardInterrupt ends a run, and a debugger
    stands where the error is.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Here:
    """This machine, one job at a time: outcomes are made as they are asked for, and each row written as it ends."""

    def __init__(self, attend: Callable[[Case], object], references: Path) -> None:
        self._executor = InProcess()
        self._attend = attend
        self._references = references
        self._children = Children()

    def close(self) -> None:
        """End the children that are kept."""
        self._children.close()

    def room(self, device: str, under_way: Mapping[Future[Done], Job]) -> bool:
        return not under_way

    def submit(self, job: Job, near: str) -> Future[Done]:
        return self._executor.submit(self._begin, job)

    def wait(self, under_way: Collection[Future[Done]]) -> Collection[Future[Done]]:
        return wait(under_way, return_when=FIRST_COMPLETED).done

    def result(self, future: Future[Done], job: Job) -> Done:
        return future.result()

    def workers(self) -> int:
        return 1

    def _begin(self, job: Job) -> Done:
        def attend(name: str) -> None:
            self._attend(job.cell.case(name))

        return Done(outcomes(job, attend, self._references, self._children), machine_here())


def give_up(under_way: Collection[Future[Done]]) -> None:
    """Let go of what was submitted; what runs already goes on to its end, and nobody hears of it."""
    for future in under_way:
        with suppress(Exception):
            future.cancel()
