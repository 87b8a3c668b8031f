"""Lines side by side on any pool: each case once, smaller n first, failures carried on, places kept."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jacstrat import UsageError
from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.directory import Standing
from jacstrat.harness.dispatch.job import Done, Job
from jacstrat.harness.dispatch.lines import lines
from jacstrat.harness.dispatch.scheduler import schedule
from jacstrat.harness.plan.costs import (
    CALLS,
    RATES,
    AssumedRates,
    FakeWorkers,
    call_s,
    case_s,
    estimate,
    in_words,
    prepare_s,
    profile_s,
)
from jacstrat.harness.plan.predict import Forecast, Prediction
from jacstrat.harness.plan.sweep import Grid, Sweep
from jacstrat.measure.sampling import Settings
from jacstrat.record import Record

GRID = Grid(("sin", "linear"), ("divergence",), ("identity", "vmap"), n=(2, 4, 8), batch=(1, 2), threads=(1,))
SWEEP = Sweep((GRID,))
KEYS = [case.key for cell in SWEEP.cells() for case in cell.cases]


def job() -> Job:
    return Job(SWEEP.cells()[0], Settings(), timeout_s=1)


def rows(pool, sweep: Sweep = SWEEP, done=None) -> list:
    found = schedule(lines(sweep.cells(), done or {}), job(), pool, lambda cells, workers: None)
    return [outcome.record for outcome in found]


class Remembering(FakeWorkers):
    """Fake workers that remember (place, cell, begin, end), and end the cases of some keys by a status."""

    def __init__(self, workers: int, ends: dict[str, str] | None = None, **options) -> None:
        super().__init__(workers, options.get("seconds", lambda job: 1.0))
        self.ends = ends or {}
        self.log: list = []

    def submit(self, job: Job, near: str) -> Future[Done]:
        future = super().submit(job, near)
        end, _, place, _, _ = next(entry for entry in self._ends if entry[3] is future)
        self.log.append((place, job.cell, self.now_s, end))
        return future

    def result(self, future: Future[Done], job: Job) -> Done:
        done = future.result()
        records = [
            Record.of(case, self.ends.get(case.key, "ok"), "why" * (case.key in self.ends)) for case in job.cell.cases
        ]
        return done._replace(outcomes=[Outcome(record.case, record, None) for record in records])


@settings(max_examples=25)
@given(workers=st.integers(1, 9), times=st.lists(st.floats(0.1, 100), min_size=12, max_size=12))
def test_every_case_has_one_row_and_no_worker_two_cells_at_once(workers: int, times: list[float]) -> None:
    taken = dict(zip(SWEEP.cells(), times, strict=True))
    pool = Remembering(workers, seconds=lambda job: taken[job.cell])
    assert sorted(record.case for record in rows(pool)) == sorted(KEYS)
    for place in {entry[0] for entry in pool.log}:
        spans = sorted((begin, end) for where, _, begin, end in pool.log if where == place)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
    # Smaller n first, each after the one before it.
    for line in lines(SWEEP.cells(), {}):
        line_cells = [cell for cell in SWEEP.cells() if cell in line._left]
        begins = [next(begin for _, cell, begin, _ in pool.log if cell == wanted) for wanted in line_cells]
        assert begins == sorted(begins)
        assert [cell.n for cell in line_cells] == [2, 4, 8]


def test_a_line_stays_at_its_place_and_its_rows_have_the_machine() -> None:
    pool = Remembering(2)
    records = rows(pool)
    for one in lines(SWEEP.cells(), {}):
        places = {place for place, cell, _, _ in pool.log if cell in one._left}
        assert len(places) == 1
        assert {
            r.machine for r in records if (r.problem, r.batch) == (one._left[0].problem, one._left[0].batch)
        } == places


def test_what_fails_at_n_is_not_tried_at_larger_n_wherever_it_is_measured() -> None:
    key = "sin/divergence/vmap/n=4/batch=2/float64/cpu/evaluate/threads=1/seed=0"
    pool = Remembering(3, {key: "timeout"})
    by_case = {record.case: record for record in rows(pool)}
    after = by_case[key.replace("n=4", "n=8")]
    assert (after.status, after.reason) == ("skipped", "timeout at n = 4: why")
    assert after.machine == by_case[key].machine != ""
    assert sum(record.status == "skipped" for record in by_case.values()) == 1
    assert len(by_case) == len(KEYS)


def test_what_stands_is_not_done_again_but_counts_for_larger_n() -> None:
    key = "sin/divergence/vmap/n=2/batch=1/float64/cpu/evaluate/threads=1/seed=0"
    done = {key: Standing("oom", "no room", "", "a-b")}
    records = {record.case: record for record in rows(FakeWorkers(2, lambda job: 1.0), done=done)}
    assert sorted([*records, key]) == sorted(KEYS)
    for n in (4, 8):
        skipped = records[key.replace("n=2", f"n={n}")]
        assert (skipped.status, skipped.reason) == ("skipped", "oom at n = 2: no room")


def test_a_job_that_is_to_be_tried_again_is() -> None:
    class Losing(Remembering):
        lost = 0

        def result(self, future: Future[Done], job: Job) -> Done | None:
            self.lost += 1
            return None if self.lost == 1 else super().result(future, job)

    pool = Losing(2)
    assert sorted(record.case for record in rows(pool)) == sorted(KEYS)
    assert len(pool.log) == len(SWEEP.cells()) + 1


@given(parts=st.integers(1, 4))
def test_shards_are_a_partition_by_lines(parts: int) -> None:
    shards = [replace(SWEEP, shard=f"{part}/{parts}").cells() for part in range(1, parts + 1)]
    assert sorted((cell for shard in shards for cell in shard), key=str) == sorted(SWEEP.cells(), key=str)
    by_line = {(cell.problem, cell.batch): part for part, shard in enumerate(shards) for cell in shard}
    assert all(by_line[cell.problem, cell.batch] == part for part, shard in enumerate(shards) for cell in shard)


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "1/0", "a/b", "1/2/3"])
def test_what_is_no_shard_is_refused(shard: str) -> None:
    with pytest.raises(UsageError, match=f"a shard is I/N with I from 1 to N, such as 2/16, got '{shard}'"):
        replace(SWEEP, shard=shard).cells()


def test_a_shard_beyond_the_lines_is_empty() -> None:
    with pytest.raises(UsageError, match="shard 5/5 is empty: the sweep has 4 lines; use at most as many shards"):
        replace(SWEEP, shard="5/5").cells()


def forecasts(sweep: Sweep, prediction: Prediction) -> list[Forecast]:
    return [Forecast(case, prediction) for cell in sweep.cells() for case in cell.cases]


def test_an_estimate_is_what_the_driver_takes_on_a_fake_clock() -> None:
    """4 lines of 3 cells of 2 strategies, each of 2 s a call: calls, a warm-up and a sample of one call each."""
    rates = AssumedRates()
    prediction = Prediction(peak_bytes=1, flops=int(2 * rates.flops_per_s), aten_ops=0)
    assert call_s(prediction, rates) == 2
    case = case_s(2.0, Settings(limit_s=0.25), rates.prepare_s)
    assert case == rates.prepare_s + CALLS * 2 + 2 + 2
    cell = 2 * case + (0.2 + 0.25) + rates.child_s + rates.way_s
    for workers, slots in ((1, 12), (2, 6), (3, 6), (4, 3), (9, 3)):
        found = estimate(SWEEP, forecasts(SWEEP, prediction), workers)
        assert found.seconds == pytest.approx(slots * cell)
        assert found.busy_s == pytest.approx(12 * cell)
        assert found.longest_s == pytest.approx(3 * cell)
        assert (found.cases, found.lines) == (24, 4)
    assert in_words(found, 9) == (
        "24 cases in 4 lines take about 6.5 min of measuring, 97.8 s on 9 workers, busy for 44% of it; "
        "the longest line takes 97.8 s."
    )


def test_a_card_starts_once_a_worker_and_a_compiler_once_a_strategy() -> None:
    card = RATES["cuda"]
    sweep = Sweep((replace(GRID, device=("cuda:1",)),))
    plain = forecasts(sweep, Prediction())
    strategies = sweep.cells()[0].strategies
    cell = len(strategies) * case_s(0, Settings(limit_s=0.25), card.prepare_s)
    cell += sum(profile_s(strategy, 0, card) for strategy in strategies)
    cell += case_s(0, Settings(limit_s=0.25)) + card.child_s + card.way_s
    assert estimate(sweep, plain, 1).seconds == pytest.approx(len(sweep.cells()) * cell + card.start_s)
    # Workers without a line start nothing.
    lines = estimate(sweep, plain, 1).lines
    assert estimate(sweep, plain, 64).busy_s == pytest.approx(len(sweep.cells()) * cell + lines * card.start_s)
    assert prepare_s("taylor", card) == card.prepare_s
    assert prepare_s("graphed(compiled(taylor))", card) == card.prepare_s + card.compile_s


def test_cases_that_would_be_skipped_take_no_time() -> None:
    every = [forecast._replace(skip="no") for forecast in forecasts(SWEEP, Prediction())]
    assert estimate(SWEEP, every, 1).busy_s == pytest.approx(12 * (AssumedRates().child_s + AssumedRates().way_s))


@settings(max_examples=15)
@given(workers=st.integers(1, 64), batches=st.integers(1, 10))
def test_no_schedule_is_worse_than_grahams_bound(workers: int, batches: int) -> None:
    """Whatever is submitted as soon as there is room ends by busy / workers + the longest line (Graham 1966)."""
    sweep = Sweep((replace(GRID, batch=tuple(range(1, batches + 1))),))
    found = estimate(sweep, forecasts(sweep, Prediction(1, 10**9, 100)), workers)
    assert max(found.busy_s / workers, found.longest_s) - 1e-6 <= found.seconds
    assert found.seconds <= found.busy_s / workers + found.longest_s + 1e-6
