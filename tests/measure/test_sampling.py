"""Sampling, on a clock that the test tells."""

from __future__ import annotations

import gc
import random
from contextlib import contextmanager

import pytest

from jacstrat.measure.clocks import Timing
from jacstrat.measure.sampling import (
    MAX_SAMPLES,
    MOST_LONGER,
    PRECISE,
    TIME_LIMIT,
    Settings,
    sample,
    warm_up,
)
from tests.measure.fakes import FakeClock
from tests.measure.sampled import SETTINGS, run


def test_steady_work_is_known_after_the_fewest_samples() -> None:
    clock = FakeClock()
    series = run(clock, {"a": clock.work(1e-4)})["a"]
    assert series.stop_reason == PRECISE
    assert series.calls == 10  # 1 ms in calls of 0.1 ms
    assert list(series.seconds) == list(range(10))
    assert series.summary.median == pytest.approx(1e-4)


def test_a_block_lasts_a_thousand_ticks_of_a_coarse_clock() -> None:
    clock = FakeClock(tick_s=1e-5)
    assert run(clock, {"a": clock.work(1e-4)})["a"].calls == 100


def test_work_longer_than_a_block_is_called_once_a_sample_and_stops_at_the_limit() -> None:
    clock = FakeClock()
    alternating = clock.work(*(0.1 + 0.05 * (i % 2) for i in range(100)))
    series = run(clock, {"a": alternating})["a"]
    assert (series.calls, series.stop_reason) == (1, TIME_LIMIT)
    assert 7 <= len(series.seconds) <= 10


def test_one_sample_is_taken_of_work_longer_than_the_limit() -> None:
    clock = FakeClock()
    series = run(clock, {"a": clock.work(5.0)})["a"]
    assert (len(series.seconds), series.stop_reason) == (1, TIME_LIMIT)


def test_noise_ends_at_the_most_samples() -> None:
    clock = FakeClock()
    rng = random.Random(1)
    noisy = clock.work(*(1e-3 * rng.choice((1, 3)) for _ in range(200)))
    series = run(clock, {"a": noisy}, Settings(limit_s=100, block_s=1e-3, max_samples=60))["a"]
    assert (len(series.seconds), series.stop_reason) == (60, MAX_SAMPLES)


def test_noise_ends_early_where_the_interval_of_the_median_is_narrow() -> None:
    clock = FakeClock()
    rng = random.Random(1)
    noisy = clock.work(*(1e-3 * rng.uniform(0.9, 1.1) for _ in range(2000)))
    series = run(clock, {"a": noisy}, Settings(limit_s=100, block_s=1e-3, half_width=0.02))["a"]
    assert series.stop_reason == PRECISE
    assert 10 < len(series.seconds) < 500
    assert series.summary.half_width <= 0.02


def test_rounds_are_shuffled_and_hold_one_block_of_each() -> None:
    clock, log = FakeClock(), []
    names = ("a", "b", "c")
    run(clock, {name: clock.work(2e-3, log=log, name=name) for name in names})
    rounds = [tuple(log[i : i + 3]) for i in range(len(log) - 30, len(log), 3)]
    assert all(sorted(r) == list(names) for r in rounds)
    assert len(set(rounds)) > 1


def test_the_reference_takes_part_in_every_round() -> None:
    clock = FakeClock()
    rng = random.Random(1)
    works = {"f": clock.work(1e-3), "a": clock.work(*(1e-3 * rng.choice((1, 3)) for _ in range(300)))}
    settings = Settings(limit_s=100, block_s=1e-3, max_samples=40)
    series = run(clock, works, settings, reference="f")
    assert list(series["f"].seconds) == list(series["a"].seconds) == list(range(40))


def test_work_that_raises_leaves_the_others_alone() -> None:
    clock = FakeClock()
    calls = []

    def broken() -> None:
        calls.append(1)
        clock.now_s += 1e-3
        if len(calls) == 15:
            raise ValueError("enough")

    series = run(clock, {"f": clock.work(1e-3), "broken": broken, "exits": _exits}, reference="f")
    assert str(series["broken"].error) == "enough"
    assert isinstance(series["exits"].error, SystemExit)
    assert len(calls) == 15
    assert (series["f"].error, series["f"].stop_reason) == (None, PRECISE)


def _exits() -> None:
    raise SystemExit(3)


def test_a_reference_that_raises_ends_only_itself() -> None:
    clock = FakeClock()
    series = run(clock, {"f": _exits, "a": clock.work(1e-3)}, reference="f")
    assert series["f"].seconds == {}
    assert series["a"].stop_reason == PRECISE


def test_an_interrupt_is_not_swallowed() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(FakeClock(), {"a": interrupted})


def test_attending_is_told_before_the_work_runs() -> None:
    clock, log = FakeClock(), []
    works = {name: clock.work(2e-3, log=log, name=name) for name in ("a", "b")}
    run(clock, works, attending=lambda name: log.append(name.upper()))
    current = ""
    for entry in log:
        if entry.isupper():
            current = entry
        assert entry.upper() == current


def test_garbage_is_held_while_sampling_and_collected_again_after() -> None:
    clock, seen = FakeClock(), []

    def look() -> None:
        clock.now_s += 1e-3
        seen.append(gc.isenabled())

    run(clock, {"a": look})
    assert seen[-10:] == [False] * 10
    assert gc.isenabled()


def test_warm_up_ends_when_two_halves_agree() -> None:
    clock = FakeClock()
    assert warm_up(clock.work(1e-4), clock, SETTINGS).seconds == pytest.approx(1e-4)
    assert len(clock.blocks) == 10


def test_warm_up_goes_on_while_the_work_gets_faster() -> None:
    clock = FakeClock()
    settling = clock.work(*(1e-4 * (1 + 20 * 0.7**i) for i in range(60)))
    assert warm_up(settling, clock, SETTINGS).seconds == pytest.approx(1e-4, rel=0.1)
    assert len(clock.blocks) > 10


def test_warm_up_ends_at_its_limit() -> None:
    clock = FakeClock()
    warm_up(clock.work(0.15), clock, SETTINGS)
    assert len(clock.blocks) == 2


class ColdClock(FakeClock):
    """Flushes for 9 ms before each call."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = "cold"

    def time(self, work, calls):
        timing = super().time(work, calls)
        return Timing(timing.seconds, timing.host_s, 9e-3 * calls)


def test_the_flushes_of_cold_calls_count_in_their_blocks_and_in_the_time_limit() -> None:
    clock = ColdClock()
    rng = random.Random(1)
    noisy = clock.work(*(1e-3 * rng.uniform(1, 3) for _ in range(300)))
    series = run(clock, {"a": noisy}, Settings(limit_s=1.0, block_s=20e-3, half_width=0))["a"]
    assert series.calls == 2
    assert len(series.seconds) == pytest.approx(1.0 / (2 * 11e-3), rel=0.1)
    assert series.spent_s == pytest.approx(1.0, rel=0.05)


def test_work_may_have_a_clock_of_its_own_beside_that_of_the_others() -> None:
    warm, cold = FakeClock(), ColdClock()
    works = {"a": warm.work(1e-4), "a cold": cold.work(2e-4)}
    series = sample(works, warm, SETTINGS, random.Random(0), clocks={"a cold": cold})
    assert series["a"].summary.median == pytest.approx(1e-4)
    assert series["a cold"].summary.median == pytest.approx(2e-4)
    assert list(series["a"].seconds) == list(series["a cold"].seconds)


def test_blocks_stand_in_what_marks_them() -> None:
    clock, log = FakeClock(), []

    @contextmanager
    def marked(name: str):
        log.append(f"<{name}>")
        yield
        log.append(f"</{name}>")

    run(clock, {"a": clock.work(1e-3, log=log, name="work")}, marked=marked)
    assert log == ["<a>", *["work"] * 10, "</a>", *["<a>", "work", "</a>"] * 10]


def test_work_that_is_to_be_alike_has_as_many_calls_in_a_block_as_the_fastest() -> None:
    clock = FakeClock()
    works = {name: clock.work(call_s) for name, call_s in (("f", 1e-5), ("a", 1e-4), ("b", 4e-4), ("c", 1e-1))}
    series = run(clock, works, reference="f", alike=("a", "b", "c"))
    assert {name: series[name].calls for name in "abc"} == {"a": 10, "b": 10, "c": MOST_LONGER}
    assert series["f"].calls > 10
    assert run(clock, {"a": clock.work(1e-4), "b": clock.work(4e-4)})["b"].calls == 3
