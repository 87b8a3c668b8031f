"""The same strategy as if it were two: the ratio is 1, and its interval should say so."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from jacstrat.core.case import Case, F
from jacstrat.harness.cell.prepared_case import prepare_case
from jacstrat.harness.cell.setup import set_up
from jacstrat.harness.cell.surroundings import surroundings
from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.sweep import Grid, Sweep
from jacstrat.measure.sampling import Settings, sample
from jacstrat.measure.torch_device import clock_for
from jacstrat.statistics import Summary, ratio

from .figure import Figure
from .spinner import busy_core

COVERAGE = 0.9
CARD_PAIRS = 30
# 50 cases: fields and scalars, loops and batches, reverse and forward mode, from tens of microseconds to milliseconds:
# a call of tens of milliseconds would leave too few samples for an interval.
SWEEP = Sweep(
    (
        Grid(("sin",), ("divergence",), ("identity", "ones", "vmap", "jvp", "jacfwd"), n=(4, 16)),
        Grid(
            ("linear", "tanh_field"),
            ("divergence",),
            ("identity", "ones", "vmap", "jvp", "jacrev"),
            n=(4, 16),
            batch=(16,),
        ),
        Grid(
            ("rosenbrock", "tanh_scalar"),
            ("laplacian",),
            ("identity", "vmap", "jvp", "forward_over_forward", "hessian"),
            n=(2, 8),
            batch=(16,),
        ),
    )
)


@dataclass(frozen=True)
class RunPair:
    """A strategy against itself.

    Fields:
        case: The case that both are.
        ratio: Of the one's time to the other's, by round; None where they share none.
        calls: In a block of each, of which each has its own estimate.
    """

    case: str
    ratio: Summary | None
    calls: tuple[int, int]

    @property
    def covers(self) -> bool:
        """Whether there is an interval and 1 is in it."""
        one = self.ratio
        return one is not None and one.low is not None and one.high is not None and one.low <= 1 <= one.high

    @property
    def deviation(self) -> float:
        """How far the ratio is from 1."""
        return abs(self.ratio.median - 1) if self.ratio else math.inf

    def __str__(self) -> str:
        one = self.ratio
        if one is None:
            return f"{self.case}: no rounds in common"
        interval = "no interval" if one.low is None else f"{one.low:.3f} to {one.high:.3f}"
        blocks = f"blocks of {self.calls[0]} and {self.calls[1]}"
        return f"{self.case}: {one.median:.3f}, {interval}, {one.samples} rounds, {blocks}"


def aa(settings: Settings, most: int | None = None) -> list[Figure]:
    """How often the interval of a ratio that is 1 covers 1, on the machine as it is and beside a busy core.

    And on the accelerator, where there is one, of CARD_PAIRS of them.

    Args:
        settings: When a number is good enough.
        most: Pairs to measure, all of SWEEP's where None.
    """
    cases = [case for cell in SWEEP.cells() for case in cell.cases]
    cases = random.Random(0).sample(cases, len(cases) if most is None else most)
    quiet = [measure(case, settings) for case in cases]
    with busy_core() as share:
        busy = [measure(case, settings) for case in cases]
        note = f"the other process had {share():.0%} of a core"
    figures = [judge(quiet, "quiet"), judge(busy, "beside a busy core", note)]
    if device := accelerator():
        on_card = [measure(replace(case, device=device), settings) for case in cases[:CARD_PAIRS]]
        figures.append(judge(on_card, f"on {device}"))
    return figures


def accelerator() -> str | None:
    """The name of the accelerator; None where there is none."""
    device = torch.accelerator.current_accelerator(check_available=True)
    return None if device is None else device.type


def measure(case: Case, settings: Settings) -> RunPair:
    """Prepare the strategy twice and sample both beside f, as two strategies of a cell are."""
    cell = Cell.of(case)
    with surroundings(cell):
        bench = set_up(cell)
        f, x, args = bench.instance.f, bench.instance.x, bench.instance.args
        first, second = (prepare_case(case, bench, lambda name: None).work for _ in range(2))
        works = {"first": first, "second": second, F: lambda: f(x, *args)}
        series = sample(works, clock_for(case.device), settings, random.Random(case.key), F)
    one, other = series["first"], series["second"]
    return RunPair(case.key, ratio(one.seconds, other.seconds), (one.calls, other.calls))


def judge(pairs: Sequence[RunPair], circumstances: str, note: str = "") -> Figure:
    """The share of pairs whose interval covers 1; one without an interval covers nothing.

    Args:
        pairs: At least one.
        circumstances: In words.
        note: On these.
    """
    missing = [pair for pair in pairs if not pair.covers]
    deviations = [pair.deviation for pair in pairs]
    widths = [pair.ratio.half_width if pair.ratio else math.inf for pair in pairs]
    notes = (
        f"{len(pairs) - len(missing)} of {len(pairs)}",
        f"the ratio is off by {statistics.median(deviations):.2%} in the median, by {max(deviations):.2%} at most",
        f"half the interval is {statistics.median(widths):.2%} in the median",
        note,
        *map(str, missing),
    )
    what = f"{circumstances}: pairs whose 95 % interval of the ratio covers 1"
    value = (len(pairs) - len(missing)) / len(pairs)
    return Figure("aa", what, value, COVERAGE, "%", at_least=True, note="; ".join(filter(None, notes)))
