"""What a sweep will take in time: seconds of a case from its prediction, and of a whole run by its own driver."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import count

from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.dispatch.job import Done, Job
from jacstrat.harness.dispatch.lines import lines
from jacstrat.harness.dispatch.scheduler import schedule
from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.predict import Forecast, Prediction
from jacstrat.harness.plan.sweep import Sweep, line_of
from jacstrat.measure.activity import CALLS as SEEN
from jacstrat.measure.activity import LONG_S
from jacstrat.measure.sampling import Settings
from jacstrat.strategies import parse_strategy


@dataclass(frozen=True)
class AssumedRates:
    """What a device is taken to do: round numbers, from which a time is right within a factor of a few.

    Fields:
        op_s: Seconds of an operation that has nothing to do: dispatching it, launching its kernel.
        flops_per_s: Of its matrix products.
        child_s: Seconds to start and end the process of a cell, where each has its own, and to set the cell up.
        way_s: Seconds from the end of a cell at a worker until the next one begins there.
        start_s: Seconds until a worker's first cell begins: of a card, the start of CUDA in the two children that are
            kept, one that times and one that profiles.
        prepare_s: Seconds to prepare a strategy, apart from its calls.
        compile_s: Seconds to compile one, for those that start the compiler.
        profile_s: Seconds to prepare one again where its kernels are looked at, in a process of its own; 0 where there
            are none.
        reload_s: Seconds to have from its cache what was compiled.
    """

    op_s: float = 1e-5
    flops_per_s: float = 1e10
    child_s: float = 0.1
    way_s: float = 0.02
    start_s: float = 0.0
    prepare_s: float = 0.02
    compile_s: float = 10.0
    profile_s: float = 0.0
    reload_s: float = 2.0


RATES: Mapping[str, AssumedRates] = {
    "cpu": AssumedRates(),
    "cuda": AssumedRates(op_s=3e-5, flops_per_s=1e13, child_s=0.5, start_s=10.0, prepare_s=0.1, profile_s=0.1),
}
"""By kind of device. Those of a card are an H100's, by results/h100: 16 to 87 us an operation of an eager strategy,
most of it the host's; 12 TFLOP/s of products in float32, of which its strategies are far from all."""

# Calls of a strategy before it is warmed up: the first one, two with a tap in f, one in which operations are counted,
# which takes as long as two; and where the host waits for the device.
CALLS = 6
# Of one that is profiled before it is seen: the first one, one that is timed by the host, one unseen.
UNSEEN = 3


def rates_of(device: str) -> AssumedRates:
    """Those of a device; of one that is not known those of a card."""
    return RATES.get(device.partition(":")[0], RATES["cuda"])


def call_s(prediction: Prediction, rates: AssumedRates) -> float:
    """Seconds of one call: operations, and FLOPs; 0 where neither is known, as of a function that is not predicted."""
    return (prediction.aten_ops or 0) * rates.op_s + (prediction.flops or 0) / rates.flops_per_s


def case_s(call: float, settings: Settings, prepare: float = 0.0) -> float:
    """Seconds that a case takes its cell: to prepare, calls, a warm-up and samples, each one call at the least."""
    return prepare + CALLS * call + max(settings.warmup_s, call) + max(settings.limit_s, call)


def profile_s(strategy: str, call: float, rates: AssumedRates) -> float:
    """Seconds to look at the kernels of a strategy; 0 where there are none."""
    if not rates.profile_s:
        return 0.0
    reload_s = rates.reload_s if parse_strategy(strategy).starts_compiler else 0.0
    return rates.profile_s + reload_s + (UNSEEN + (1 if call > LONG_S else SEEN)) * call


def prepare_s(strategy: str, rates: AssumedRates) -> float:
    """Seconds to prepare a strategy."""
    return rates.prepare_s + (rates.compile_s if parse_strategy(strategy).starts_compiler else 0.0)


@dataclass(frozen=True)
class RunCost:
    """What a run would take.

    Fields:
        cases, lines: How many; a line is measured on one machine.
        seconds: Until its end.
        busy_s: Of all workers together.
        longest_s: Of the line that takes longest: no number of workers is faster.
    """

    cases: int
    lines: int
    seconds: float
    busy_s: float
    longest_s: float


class FakeWorkers:
    """A pool on a clock of its own, which moves on when the run waits: a job ends after the seconds it is said to take.

    Args:
        workers: How many.
        seconds: Of a job.
    """

    def __init__(self, workers: int, seconds: Callable[[Job], float]) -> None:
        self.now_s = 0.0
        self.busy_s = 0.0
        self._seconds = seconds
        self._free = [f"worker {number}" for number in reversed(range(workers))]
        self._workers = workers
        self._ends: list[tuple[float, int, str, Future[Done], Job]] = []
        self._order = count()

    def room(self, device: str, under_way: Mapping[Future[Done], Job]) -> bool:
        return bool(self._free)

    def submit(self, job: Job, near: str) -> Future[Done]:
        worker = near if near in self._free else self._free[-1]
        self._free.remove(worker)
        future: Future[Done] = Future()
        took_s = self._seconds(job)
        self.busy_s += took_s
        heapq.heappush(self._ends, (self.now_s + took_s, next(self._order), worker, future, job))
        return future

    def wait(self, under_way: Collection[Future[Done]]) -> Collection[Future[Done]]:
        self.now_s, _, worker, future, job = heapq.heappop(self._ends)
        self._free.append(worker)
        future.set_result(Done([Outcome.of(case, "ok") for case in job.cell.cases], worker, worker))
        return [future]

    def result(self, future: Future[Done], job: Job) -> Done:
        return future.result()

    def workers(self) -> int:
        return self._workers


def estimate(sweep: Sweep, forecasts: Sequence[Forecast], workers: int) -> RunCost:
    """What the run of a sweep would take, its driver run on fake workers.

    Args:
        sweep: What would be measured.
        forecasts: Of its cases. Those that would be skipped take no time, those without a prediction that of sampling.
        workers: How many measure side by side.
    """
    settings = Settings(limit_s=sweep.sample_s)
    by_case = {forecast.case.key: forecast for forecast in forecasts}

    def cell_s(cell: Cell) -> float:
        rates = rates_of(cell.device)
        tried = [by_case[case.key] for case in cell.cases if not by_case[case.key].skip]
        # f is sampled beside its strategies, for as long as the last of them.
        samples = 0.0
        for one in tried:
            call, strategy = call_s(one.prediction, rates), one.case.strategy
            samples += case_s(call, settings, prepare_s(strategy, rates)) + profile_s(strategy, call, rates)
        return rates.way_s + rates.child_s + samples + (case_s(0, settings) if tried else 0.0)

    left = lines(sweep.cells(), {})
    left.sort(key=lambda line: -line.cases)
    pool = FakeWorkers(workers, lambda job: cell_s(job.cell))
    by_line: dict[Cell, float] = {}
    for cell in sweep.cells():
        by_line[line_of(cell)] = by_line.get(line_of(cell), 0.0) + cell_s(cell)
    job = Job(sweep.cells()[0], settings, sweep.timeout_s)
    cases = sum(1 for _ in schedule(left, job, pool, lambda cells, workers: None))
    # Workers that have no line start nothing.
    start_s = max(rates_of(line.device).start_s for line in left)
    busy_s = pool.busy_s + min(workers, len(left)) * start_s
    return RunCost(cases, len(left), pool.now_s + start_s, busy_s, max(by_line.values()))


def in_words(cost: RunCost, workers: int) -> str:
    """An estimate in a sentence or two."""
    each = f"{cost.cases} cases in {cost.lines} lines take about {_span(cost.busy_s)} of measuring"
    bound = f"the longest line takes {_span(cost.longest_s)}"
    used = cost.busy_s / (workers * cost.seconds)
    return f"{each}, {_span(cost.seconds)} on {workers} workers, busy for {used:.0%} of it; {bound}."


def _span(seconds: float) -> str:
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
