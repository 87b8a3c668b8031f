import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from jacstrat.report.figures.ticks import even_ticks, linear_ticks, log_ticks, spread, tick_labels

SIZES = st.floats(1e-12, 1e12)


@given(SIZES, st.floats(1.01, 1e9), st.sampled_from([2, 10]))
def test_ticks_of_a_logarithmic_axis_lie_on_it_and_are_few(low: float, factor: float, base: int) -> None:
    ticks = log_ticks(low, low * factor, base)
    assert all(low * (1 - 1e-6) <= tick <= low * factor * (1 + 1e-6) for tick in ticks)
    assert ticks == sorted(set(ticks))
    assert 2 <= len(ticks) <= 12


@given(SIZES, st.floats(10.001, 1e9))
def test_a_decade_has_three_ticks_at_least(low: float, factor: float) -> None:
    assert len(log_ticks(low, low * factor)) >= 3


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_of_a_plain_axis(low: float, width: float) -> None:
    ticks = linear_ticks(low, low + width)
    assert all(low - 1e-6 * width <= tick <= low + width * (1 + 1e-6) for tick in ticks)
    assert 1 <= len(ticks) <= 9


@given(st.sets(st.integers(1, 10**6), min_size=2))
def test_labels_have_room_and_the_largest_is_there(values: set[int]) -> None:
    ns = sorted(values)
    kept = spread(ns)
    assert kept[-1] == ns[-1]
    assert set(kept) <= set(ns)
    room = math.log(ns[-1] / ns[0]) / 12
    assert all(math.log(b / a) >= room * 0.999 for a, b in pairwise(kept))


@given(SIZES, st.floats(1.2, 1e9), st.sampled_from([1 / 14, 1 / 7, 1 / 3]))
def test_even_ticks_have_their_room_on_the_axis(low: float, factor: float, room: float) -> None:
    ticks = even_ticks(low, low * factor, room)
    assert ticks
    assert all(low * (1 - 1e-6) <= tick <= low * factor * (1 + 1e-6) for tick in ticks)
    assert all(math.log(b / a) >= room * math.log(factor) * 0.999 for a, b in pairwise(ticks))


def test_over_decades_the_ticks_are_powers_of_ten_and_over_less_what_has_room() -> None:
    assert even_ticks(2.5e-4, 1.2e-1, 1 / 7) == [1e-3, 1e-2, 1e-1]
    assert even_ticks(2.5e-4, 1.2e-1, 1 / 20) == [5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1]
    assert even_ticks(1.5e-3, 1.2e-2, 1 / 7) == [2e-3, 5e-3, 1e-2]


def test_the_first_tick_of_an_axis_without_title_says_what_is_not_n() -> None:
    assert tick_labels([1.0, 16.0], "n") == ["1", "16"]
    assert tick_labels([1.0, 1024.0], "B") == ["B = 1", "1024"]
