"""Where jobs are done: an executor as of concurrent.futures, and what there is room for. This process is one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Protocol

from jacstrat.core.case import Case
from jacstrat.harness.dispatch.children import Children
from jacstrat.harness.dispatch.job import Done, Job, machine_here, outcomes


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


class _LeftError(BaseException):
    """Ends the work of a slot whose pool is closed; no Exception, so that it is no outcome of a case."""


class Slots:
    """The devices of this machine, a slot each: cells of different accelerators are measured side by side.

    A thread a slot waits for the child that measures there, and takes next to nothing of the host. Beside a cell of the
    CPU nothing is measured, and beside nothing one of the CPU.

    Args:
        devices: Names, "cuda:0", "cuda:1", ...; each a slot.
        attend: Told the case under way, by the threads.
        references: A directory in which references are kept.
    """

    def __init__(self, devices: Collection[str], attend: Callable[[Case], object], references: Path) -> None:
        self._devices = tuple(devices)
        self._attend = attend
        self._references = references
        self._threads = ThreadPoolExecutor(len(devices), thread_name_prefix="jacstrat-slot")
        self._children = {device: Children() for device in devices}
        self._closed = False

    def close(self) -> None:
        """End what is under way, and the children that are kept."""
        self._closed = True
        self._threads.shutdown(cancel_futures=True)
        for children in self._children.values():
            children.close()

    def room(self, device: str, under_way: Mapping[Future[Done], Job]) -> bool:
        taken = {job.cell.device for job in under_way.values()}
        return not taken or (device != "cpu" and "cpu" not in taken and device not in taken)

    def submit(self, job: Job, near: str) -> Future[Done]:
        return self._threads.submit(self._do, job)

    def wait(self, under_way: Collection[Future[Done]]) -> Collection[Future[Done]]:
        return wait(under_way, return_when=FIRST_COMPLETED).done

    def result(self, future: Future[Done], job: Job) -> Done:
        return future.result()

    def workers(self) -> int:
        return len(self._devices)

    def _do(self, job: Job) -> Done:
        def attend(name: str) -> None:
            if self._closed:
                raise _LeftError
            self._attend(job.cell.case(name))

        with closing(outcomes(job, attend, self._references, self._children[job.cell.device])) as outcomes_of_job:
            return Done(tuple(outcomes_of_job), machine_here(), job.cell.device)


def give_up(under_way: Collection[Future[Done]]) -> None:
    """Let go of what was submitted; what runs already goes on to its end, and nobody hears of it."""
    for future in under_way:
        with suppress(Exception):
            future.cancel()
