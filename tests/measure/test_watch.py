"""A sampling that is watched: blocks that a card spoils are dropped, counted, and said."""

from __future__ import annotations

import random
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.measure.card import DeviceState
from jacstrat.measure.sampling import (
    MAX_SAMPLES,
    PRECISE,
    THROTTLED,
    Settings,
)
from tests.measure.fakes import FakeClock
from tests.measure.sampled import run


class Watching:
    """A card that says what spoiled the last block, as a test tells it.

    Args:
        spoiled: Asked once a block.
    """

    def __init__(self, spoiled=tuple, **state) -> None:
        self.spoiled = spoiled
        self.told = state
        self.rests: list[DeviceState] = []

    def look(self) -> DeviceState:
        return DeviceState(reasons=("idle", *self.spoiled()), **self.told)

    def rest(self, state: DeviceState, beat) -> None:
        self.rests.append(state)
        beat()


HOT = ("hw_thermal_slowdown", "sw_power_cap")


def spoiling(*spoiled: bool, then: bool = False):
    """Answers in turn what spoiled a block, the last of them `then` for ever."""
    left = list(spoiled)
    return lambda: HOT if (left.pop(0) if left else then) else ()


def test_a_spoiled_sample_is_dropped_and_counted_with_its_reasons() -> None:
    clock = FakeClock()
    series = run(clock, {"a": clock.work(1e-3)}, watch=Watching(spoiling(False, True, True)))["a"]
    assert series.dropped == {1: HOT, 2: HOT}
    assert list(series.seconds) == list(series.host_s) == [0, *range(3, 12)]
    assert (series.stop_reason, series.throttled) == (PRECISE, False)
    assert series.spent_s == pytest.approx(12e-3)


def test_nothing_is_asked_while_warming_up_and_after_every_block_from_then_on() -> None:
    clock, asked = FakeClock(), []

    def spoiled() -> tuple[str, ...]:
        asked.append(len(clock.blocks))
        return ()

    run(clock, {"a": clock.work(1e-3)}, watch=Watching(spoiled))
    assert asked == list(range(11, 21))  # the warm-up takes ten


def test_by_default_nothing_is_ever_spoiled() -> None:
    clock = FakeClock()
    series = run(clock, {"a": clock.work(1e-3)})["a"]
    assert (series.dropped, series.throttled, series.stop_reason) == ({}, False, PRECISE)


def test_work_on_a_card_that_is_always_slowed_down_has_a_result_that_says_so() -> None:
    clock = FakeClock()
    series = run(clock, {"a": clock.work(1e-3)}, watch=Watching(spoiling(then=True)))["a"]
    assert series.dropped == dict.fromkeys(range(10), HOT)  # as many as min_samples
    assert list(series.seconds) == list(range(10, 20))
    assert (series.stop_reason, series.throttled) == (THROTTLED, True)
    assert series.summary.median == pytest.approx(1e-3)


def test_samples_are_dropped_beyond_the_fewest_while_they_are_no_more_than_half() -> None:
    clock = FakeClock()
    rng = random.Random(1)
    noisy = clock.work(*(1e-3 * rng.choice((1, 3)) for _ in range(300)))
    settings = Settings(limit_s=100, block_s=1e-3, max_samples=40)
    every_second = spoiling(*(bool(i % 2) for i in range(1000)))
    series = run(clock, {"a": noisy}, settings, watch=Watching(every_second))["a"]
    assert list(series.seconds) == list(range(0, 80, 2))
    assert list(series.dropped) == list(range(1, 79, 2))
    assert series.stop_reason == MAX_SAMPLES


def test_what_was_kept_before_the_cap_stays() -> None:
    clock = FakeClock()
    rng = random.Random(1)
    noisy = clock.work(*(1e-3 * rng.choice((1, 3)) for _ in range(300)))
    settings = Settings(limit_s=100, block_s=1e-3, max_samples=40)
    series = run(clock, {"a": noisy}, settings, watch=Watching(spoiling(*[False] * 12, then=True)))["a"]
    # 12 good ones, then 13 dropped: the 14th would be the first beyond half.
    assert list(series.dropped) == list(range(12, 25))
    assert list(series.seconds) == [*range(12), *range(25, 53)]
    assert series.stop_reason == THROTTLED


def test_the_last_sample_within_the_time_limit_is_kept_where_it_would_be_the_only_one() -> None:
    clock = FakeClock()
    series = run(clock, {"a": clock.work(0.3)}, watch=Watching(spoiling(then=True)))["a"]
    assert series.dropped == dict.fromkeys(range(3), HOT)
    assert series.seconds == {3: pytest.approx(0.3)}
    assert series.stop_reason == THROTTLED


def test_a_card_that_is_lost_is_the_error_of_the_work_it_was_lost_on() -> None:
    clock = FakeClock()

    def lost() -> tuple[str, ...]:
        raise RuntimeError("the card is gone")

    series = run(clock, {"a": clock.work(1e-3)}, watch=Watching(lost))["a"]
    assert (str(series.error), series.seconds) == ("the card is gone", {})


def test_clock_and_temperature_of_the_card_go_with_each_sample() -> None:
    clock = FakeClock()
    series = run(clock, {"a": clock.work(1e-3)}, watch=Watching(spoiling(False, True), sm_clock_mhz=1410))["a"]
    assert series.dropped == {1: HOT}
    assert series.sm_clock_mhz == dict.fromkeys(series.seconds, 1410)
    assert series.temperature_c == dict.fromkeys(series.seconds, None)
    unwatched = run(clock, {"a": clock.work(1e-3)})["a"]
    assert (unwatched.sm_clock_mhz, unwatched.temperature_c) == ({}, {})


def test_a_rest_is_offered_behind_every_block_and_is_no_hang() -> None:
    clock, attended = FakeClock(), []
    card = Watching(spoiling(False, True))
    run(clock, {"a": clock.work(1e-3)}, watch=card, attending=attended.append)
    assert [state.reasons[1:] == HOT for state in card.rests] == [False, True, *[False] * 9]
    assert len(attended) == 1 + 2 * len(card.rests)


@given(
    st.lists(st.booleans(), max_size=60),
    st.booleans(),
    st.sampled_from([1e-3, 0.03, 0.3, 2.0]),
    st.integers(1, 12),
)
def test_a_result_is_never_empty(spoiled: list[bool], then: bool, seconds: float, min_samples: int) -> None:
    clock = FakeClock()
    limits = Settings(limit_s=1.0, block_s=1e-3, min_samples=min_samples, max_samples=40)
    answers = spoiling(*spoiled, then=then)
    works = {"a": clock.work(seconds), "f": clock.work(1e-3)}
    with patch("gc.collect"):  # that of a process with torch takes longer than all the rest
        found = run(clock, works, limits, reference="f", watch=Watching(answers))
    for series in found.values():
        rounds = sorted([*series.seconds, *series.dropped])
        assert series.seconds
        assert rounds == list(range(len(rounds)))
        assert (series.stop_reason == THROTTLED) == series.throttled
        assert len(series.dropped) <= max(min_samples, len(rounds) / 2 + 1)


def test_a_reference_is_sampled_until_it_has_the_fewest_samples_of_its_own() -> None:
    clock = FakeClock()
    hot = {"f": 15}  # f alone meets a hot card, 15 times
    log: list[str] = []

    def spoiled() -> tuple[str, ...]:
        name = log[-1]
        hot[name] = hot.get(name, 0) - 1
        return HOT if hot[name] >= 0 else ()

    works = {name: clock.work(1e-3, log=log, name=name) for name in ("a", "f")}
    series = run(clock, works, reference="f", watch=Watching(spoiled))
    assert list(series["a"].seconds) == list(range(10))
    assert list(series["f"].dropped) == list(range(10))
    assert list(series["f"].seconds) == list(range(10, 20))
    assert (series["a"].stop_reason, series["f"].stop_reason) == (PRECISE, THROTTLED)
