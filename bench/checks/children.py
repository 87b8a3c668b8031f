"""What a child process costs."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch

from jacstrat.harness.cell.measuring import measure
from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.dispatch.child import ChildLimits
from jacstrat.harness.dispatch.isolation import measure_isolated
from jacstrat.harness.plan.cases import Cell
from jacstrat.measure.sampling import Settings

from .figure import Figure

CHILD_S = 0.06
LIMITS = ChildLimits(timeout_s=30, memory_bytes=2**32)
# One sample of one call, so that little but the child differs between the two places.
ONCE = Settings(min_samples=1, max_samples=1, limit_s=1e-6, warmup_s=1e-6, block_s=1e-9, ticks=0)


def children(count: int = 30) -> list[Figure]:
    """A trivial cell in a child against the same in this process; and a cell that is refused unmeasured, whose child
    does nothing but start, send a row and end.

    Args:
        count: Children of each kind.
    """
    trivial = _cell("sin", "divergence", n=1)
    # bilinear pairs its coordinates and refuses an odd n.
    refused = _cell("bilinear", "laplacian", n=3)
    # The first child waits for the fork server, the first measurement here for what torch does late.
    timed(lambda: measure_isolated(trivial, ONCE, LIMITS), "ok")
    timed(lambda: measure(trivial, ONCE), "ok")
    isolated_s, here_s, bare_s = [], [], []
    for _ in range(count):
        isolated_s.append(timed(lambda: measure_isolated(trivial, ONCE, LIMITS), "ok"))
        with nothing_to_collect():
            here_s.append(timed(lambda: measure(trivial, ONCE), "ok"))
        bare_s.append(timed(lambda: measure_isolated(refused, ONCE, LIMITS), "skipped"))
    return judge(isolated_s, here_s, bare_s)


def judge(isolated_s: Sequence[float], here_s: Sequence[float], bare_s: Sequence[float]) -> list[Figure]:
    """The medians of the differences and of the bare children."""
    extra_s = [isolated - here for isolated, here in zip(isolated_s, here_s, strict=True)]
    note = f"{_milliseconds(isolated_s)} in a child, {_milliseconds(here_s)} in this process"
    return [
        Figure(
            "isolation", "a trivial cell: extra time in a child", statistics.median(extra_s), CHILD_S, "ms", note=note
        ),
        Figure(
            "isolation",
            "a child that measures nothing",
            statistics.median(bare_s),
            CHILD_S,
            "ms",
            note=_milliseconds(bare_s),
        ),
    ]


def timed(submit: Callable[[], Iterable[Outcome]], status: str) -> float:
    """Seconds from submitting a cell of one case until all of its outcomes are there and its child is gone.

    Raises:
        RuntimeError: The case ended with another status than the given one; says why.
    """
    begin = time.perf_counter()
    outcomes = list(submit())
    seconds = time.perf_counter() - begin
    record = outcomes[-1].record
    if record is None or record.status != status:
        raise RuntimeError(f"{outcomes[-1].case} should be {status}: {record}")
    return seconds


@contextmanager
def nothing_to_collect() -> Iterator[None]:
    """Keep the garbage collector off what this process holds: sampling collects once, and going through that would
    make the measurement here dearer, and so the child cheaper, than it is."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _cell(problem: str, operator: str, n: int) -> Cell:
    return Cell(problem, operator, n, 1, "float64", "cpu", "evaluate", torch.get_num_threads(), 0, ("ones",))


def _milliseconds(values_s: Sequence[float]) -> str:
    return f"{statistics.median(values_s) * 1e3:.3g} ms ({min(values_s) * 1e3:.3g} to {max(values_s) * 1e3:.3g})"
