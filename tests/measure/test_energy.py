"""Energy of a call, on a clock and a card that the test tells."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jacstrat.measure.energy import BLOCK_S, LOOK_S, MOST_CALLS, MOST_REFRESH_S, energy_per_call
from tests.measure.fakes import FakeCard, FakeClock


def energy(clock: FakeClock, card, call_s: float) -> float | None:
    return energy_per_call(clock.work(call_s), call_s, clock, card)


def test_the_energy_of_a_call_is_counted_from_one_refresh_to_another() -> None:
    clock = FakeClock()
    # 250 W for calls of 1 ms, refreshed every 100 ms: 0.1 s until it moves, 0.5 s, 0.1 s until it moves again.
    assert energy(clock, FakeCard(clock, power_w=250.0), 1e-3) == pytest.approx(0.25, rel=1e-9)
    assert clock.blocks == [10] * 10 + [500] + [10] * 10


def test_energy_spent_before_the_first_refresh_and_after_the_last_does_not_count() -> None:
    clock = FakeClock()
    clock.now_s = 0.057  # between two refreshes: the first is seen at 0.107 s, the last at 0.707 s
    assert energy(clock, FakeCard(clock), 1e-3) == pytest.approx(100 * 0.6 / 600, rel=1e-9)
    assert clock.blocks == [10] * 5 + [500] + [10] * 10


def test_a_call_longer_than_the_block_is_made_three_times() -> None:
    clock = FakeClock()
    assert energy(clock, FakeCard(clock, power_w=60.0), 2.0) == pytest.approx(120.0, rel=1e-9)
    assert clock.blocks == [1, 1, 1]


def test_idle_power_is_a_part_of_it() -> None:
    clock = FakeClock()
    card = FakeCard(clock, power_w=70.0)

    def waits_for_the_host() -> None:
        clock.now_s += 1e-3

    assert energy_per_call(waits_for_the_host, 1e-3, clock, card) == pytest.approx(0.07, rel=1e-9)


def test_work_said_to_take_no_time_has_a_bounded_number_of_calls() -> None:
    calls = []

    class Counting(FakeClock):
        def time(self, work, count):
            calls.append(count)
            return super().time(self.work(0.1), 1)

    clock = Counting()
    assert energy_per_call(lambda: None, 0.0, clock, FakeCard(clock, refresh_s=0.05)) is not None
    assert calls == [MOST_CALLS] * 3


def test_calls_that_lead_a_block_use_energy_too() -> None:
    class Leading(FakeClock):
        def time(self, work, calls):
            work()
            return super().time(work, calls)

    clock = Leading()
    clock.lead = 1
    assert energy(clock, FakeCard(clock, power_w=250.0), 1e-3) == pytest.approx(0.25, rel=0.02)
    slow = Leading()
    slow.lead = 1
    assert energy(slow, FakeCard(slow, power_w=60.0), 2.0) == pytest.approx(120.0, rel=1e-9)


class Answers:
    """A card whose counter answers these in turn, the last of them for ever."""

    def __init__(self, *answers: float | None) -> None:
        self.answers = list(answers)

    def energy_j(self) -> float | None:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.mark.parametrize(
    ("card", "blocks"),
    [
        (Answers(None), []),  # has no counter
        (Answers(5.0), [10] * math.ceil(MOST_REFRESH_S / LOOK_S)),  # does not move
        (Answers(5.0, 0.1), [10]),  # reset before the block
        (Answers(5.0, None), [10]),  # gone before the block
        (Answers(5.0, 6.0, None), [10, 500]),  # gone in the block
        (Answers(5.0, 6.0, 0.5, 0.7), [10, 500, 10]),  # reset in the block
        (Answers(5.0, 6.0, 9.0, 0.7), [10, 500, 10]),  # reset after the block
        (Answers(5.0, 6.0, 5.0, 6.0), [10, 500, 10]),  # reset in the block, and at the same figure again
        (Answers(5.0, 6.0, 9.0), [10, 500] + [10] * 30),  # stands still after the block
    ],
)
def test_what_cannot_be_measured_is_none(card: Answers, blocks: list[int]) -> None:
    clock = FakeClock()
    assert energy(clock, card, 1e-3) is None
    assert clock.blocks == blocks


def test_a_counter_that_is_reset_while_it_is_read_is_none() -> None:
    clock = FakeClock()
    assert energy(clock, FakeCard(clock, resets_s=0.4), 1e-3) is None


@given(
    call_s=st.floats(-4.5, 0).map(lambda exponent: 10**exponent),
    refresh_s=st.floats(0.02, 0.1),
    begin_s=st.floats(0, 0.2),
    power_w=st.floats(20, 1000),
)
@example(call_s=0.05, refresh_s=0.1, begin_s=0.0, power_w=100.0)
def test_the_error_is_at_most_a_look_or_a_refresh_at_either_end(
    call_s: float, refresh_s: float, begin_s: float, power_w: float
) -> None:
    clock = FakeClock()
    clock.now_s = begin_s
    found = energy(clock, FakeCard(clock, power_w, refresh_s), call_s)
    assert found is not None
    late = min(max(LOOK_S, call_s) + call_s, refresh_s + 1e-5)
    assert found == pytest.approx(power_w * call_s, rel=late / BLOCK_S)
