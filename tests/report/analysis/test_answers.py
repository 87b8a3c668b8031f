import math
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jacstrat.core.status import STATUSES
from jacstrat.record import Record
from jacstrat.report.analysis.answers import (
    Unmeasured,
    Wrong,
    _slope,
    failures,
    growths,
    unsupported,
    winner_ranges,
    winners,
    wrong,
)

Make = Callable[..., Record]
FrameOf = Callable[[Iterable[Record]], pd.DataFrame]


def test_a_winner_and_how_far_it_is_ahead(record: Make, frame_of: FrameOf) -> None:
    rows = [
        record(strategy="jvp", median_s=30e-6),
        record(strategy="vmap", median_s=10e-6, cost_ratio=2.5),
        record(strategy="identity", median_s=80e-6),
    ]
    (winner,) = winners(frame_of(rows))
    assert (winner.n, winner.strategy, winner.median_s, winner.cost_ratio) == (4, "vmap", 10e-6, 2.5)
    assert (winner.runner_up, winner.slowest) == ("jvp", "identity")
    assert winner.over_runner_up == pytest.approx(3)
    assert winner.over_slowest == pytest.approx(8)
    assert winner.level == ("vmap",)


def test_ratios_by_round_go_before_those_of_medians(record: Make, frame_of: FrameOf) -> None:
    rows = [
        record(strategy="vmap", median_s=10e-6, over_fastest=1.0, over_fastest_low=1.0, over_fastest_high=1.0),
        record(strategy="jvp", median_s=30e-6, over_fastest=2.5, over_fastest_low=0.9, over_fastest_high=2.6),
        record(strategy="identity", median_s=31e-6, over_fastest=2.7, over_fastest_low=2.6, over_fastest_high=2.8),
    ]
    (winner,) = winners(frame_of(rows))
    assert (winner.over_runner_up, winner.over_slowest) == (2.5, 2.7)
    assert winner.level == ("vmap", "jvp")


def test_one_that_is_slower_by_its_median_and_not_by_the_rounds_is_level_with_the_fastest(record: Make) -> None:
    rows = [
        record(strategy="identity", median_s=2.86e-3, over_fastest=1.0),
        record(strategy="taylor", median_s=3.24e-3, over_fastest=0.231),
        record(strategy="jvp", median_s=3.0e-3, over_fastest=1.5),
        record(strategy="vmap", median_s=4.4e-3, over_fastest=1.4),
    ]
    (winner,) = winners(rows)
    assert winner.level == ("identity", "taylor")
    assert (winner.runner_up, winner.over_next) == ("taylor", None)
    assert (winner.slowest, winner.over_slowest) == ("jvp", 1.5)


@pytest.mark.parametrize("status", [status for status in STATUSES if status != "ok"])
def test_only_a_right_result_wins(record: Make, frame_of: FrameOf, status: str) -> None:
    rows = [record(strategy="ones", median_s=1e-6, status=status), record(strategy="vmap")]
    (winner,) = winners(frame_of(rows))
    assert (winner.strategy, winner.runner_up, winner.over_runner_up, winner.slowest) == ("vmap", None, None, None)


def test_a_result_without_a_time_cannot_win(record: Make, frame_of: FrameOf) -> None:
    assert winners(frame_of([record(median_s=None)])) == ()


def test_settings_have_winners_of_their_own(record: Make, frame_of: FrameOf) -> None:
    rows = [
        record(strategy="vmap", batch=1, median_s=2e-6),
        record(strategy="jvp", batch=1, median_s=1e-6),
        record(strategy="vmap", batch=64, median_s=3e-6),
        record(strategy="jvp", batch=64, median_s=4e-6),
    ]
    assert [(w.setting.batch, w.strategy) for w in winners(frame_of(rows))] == [(1, "jvp"), (64, "vmap")]


def test_overlapping_intervals_make_strategies_level(record: Make, frame_of: FrameOf) -> None:
    rows = [
        record(strategy="a", median_s=10e-6, ci_low_s=9.9e-6, ci_high_s=10.1e-6),
        record(strategy="b", median_s=10.2e-6, ci_low_s=10.1e-6, ci_high_s=10.3e-6),
        record(strategy="c", median_s=10.3e-6, ci_low_s=10.2e-6, ci_high_s=10.4e-6),
        record(strategy="d", median_s=10.4e-6),
    ]
    assert winners(frame_of(rows))[0].level == ("a", "b")


def races(record: Make, times: dict[str, list[float]], width: float = 0.0) -> list[Record]:
    """Strategies timed at n = 1, 2, 4, ..., in µs, their intervals `width` wide about the median."""
    return [
        record(strategy=name, n=2**i, median_s=us * 1e-6, ci_low_s=(us - width) * 1e-6, ci_high_s=(us + width) * 1e-6)
        for name, row in times.items()
        for i, us in enumerate(row)
    ]


def test_neighbouring_winners_share_a_range(record: Make, frame_of: FrameOf) -> None:
    ranges = winner_ranges(frame_of(races(record, {"jvp": [1, 2, 9, 9], "vmap": [3, 3, 3, 3]})))
    assert [(r.n_low, r.n_high, r.strategy) for r in ranges] == [(1, 2, "jvp"), (4, 8, "vmap")]
    assert [[w.n for w in r.winners] for r in ranges] == [[1, 2], [4, 8]]


def test_level_strategies_do_not_cut_a_range(record: Make, frame_of: FrameOf) -> None:
    times = {"jvp": [10.0, 10.2, 10.0, 10.2], "vmap": [10.1, 10.1, 10.1, 10.1], "jacrev": [50, 50, 50, 50]}
    apart = winner_ranges(frame_of(races(record, times, width=0.01)))
    assert [r.strategy for r in apart] == ["jvp", "vmap", "jvp", "vmap"]
    (level,) = winner_ranges(frame_of(races(record, {**times, "jvp": [10.0, 10.0, 10.0, 10.2]}, width=0.2)))
    assert (level.n_low, level.n_high, level.strategy) == (1, 8, "jvp")
    assert [w.strategy for w in level.winners] == ["jvp", "jvp", "jvp", "vmap"]


def test_a_range_without_a_right_result(record: Make, frame_of: FrameOf) -> None:
    rows = [record(n=1), record(n=2, status="oom", median_s=None), record(n=4, status="wrong"), record(n=8)]
    ranges = winner_ranges(frame_of(rows))
    assert [(r.n_low, r.n_high, r.strategy) for r in ranges] == [(1, 1, "vmap"), (2, 4, None), (8, 8, "vmap")]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(*[st.integers(1, 5)] * 3), min_size=1, max_size=8))
def test_ranges_cover_every_n_once_and_name_a_level_strategy(
    record: Make, frame_of: FrameOf, rows: list[tuple[int, int, int]]
) -> None:
    times = {name: [float(row[i]) for row in rows] for i, name in enumerate("abc")}
    ranges = winner_ranges(frame_of(races(record, times, width=0.6)))
    assert [w.n for r in ranges for w in r.winners] == [2**i for i in range(len(rows))]
    assert all(r.strategy in w.level for r in ranges for w in r.winners)


def test_where_a_strategy_is_wrong(record: Make, frame_of: FrameOf) -> None:
    rows = [
        *(record(strategy="ones", n=n, status="wrong", rel_error=n / 10, batch=b) for n in (2, 4) for b in (1, 64)),
        record(strategy="ones", n=1),
        record(strategy="ones", n=8, status="timeout", median_s=None),
        record(strategy="vmap", n=2),
    ]
    assert wrong(frame_of(rows)) == (Wrong("sin", "divergence", "ones", ((2, 4),), 4, 5, 0.2, 0.4),)


def test_wrong_without_a_known_error(record: Make, frame_of: FrameOf) -> None:
    (found,) = wrong(frame_of([record(status="wrong")]))
    assert (found.rel_error_low, found.rel_error_high) == (None, None)


def test_failures_of_one_reason_are_one(record: Make, frame_of: FrameOf) -> None:
    rows = [
        record(n=1),
        record(n=2, status="timeout", reason="longer than 10 s", median_s=None),
        record(n=4, status="skipped", reason="n = 2 timed out", median_s=None),
        record(n=8, status="skipped", reason="n = 2 timed out", median_s=None),
        record(strategy="jacfwd", status="unsupported", reason="no forward rule", median_s=None),
        record(strategy="ones", status="wrong"),
    ]
    shared = ("sin", "divergence")
    assert failures(frame_of(rows)) == (
        Unmeasured(*shared, "vmap", "timeout", "longer than 10 s", ((2, 2),), 1),
        Unmeasured(*shared, "vmap", "skipped", "n = 2 timed out", ((4, 8),), 2),
    )
    assert unsupported(frame_of(rows)) == (
        Unmeasured(*shared, "jacfwd", "unsupported", "no forward rule", ((4, 4),), 1),
    )


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_every_status_is_in_exactly_one_answer(record: Make, frame_of: FrameOf, status: str) -> None:
    frame = frame_of([record(status=status)])
    assert sum(len(answer(frame)) for answer in (winners, wrong, failures, unsupported)) == 1


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.5])
def test_an_exact_power_is_found(record: Make, frame_of: FrameOf, exponent: float) -> None:
    rows = [record(n=n, median_s=3e-6 * n**exponent if n > 4 else 1.0) for n in (1, 2, 4, 8, 16, 32)]
    (growth,) = growths(frame_of(rows))
    assert growth.exponent == pytest.approx(exponent, abs=1e-12)
    assert growth.std_error == pytest.approx(0, abs=1e-9)
    assert (growth.n_low, growth.n_high, growth.points) == (8, 32, 3)


@pytest.mark.parametrize(("count", "points"), [(4, None), (5, 3), (6, 3), (7, 4)])
def test_the_larger_half_needs_three_points(record: Make, frame_of: FrameOf, count: int, points: int | None) -> None:
    found = growths(frame_of([record(n=2**k) for k in range(count)]))
    assert [growth.points for growth in found] == ([] if points is None else [points])


def test_growth_counts_wrong_results_and_no_failures(record: Make, frame_of: FrameOf) -> None:
    rows = [record(n=2**k, median_s=1e-6 * 2**k, status="wrong" if k % 2 else "ok") for k in range(6)]
    rows += [record(n=64, status="timeout", median_s=1.0), record(n=128, median_s=None)]
    (growth,) = growths(frame_of(rows))
    assert (growth.n_high, growth.exponent) == (32, pytest.approx(1))


def test_growth_of_error_counts_right_results_that_have_one(record: Make, frame_of: FrameOf) -> None:
    errors = {1: 9.0, 2: 9.0, 4: 1e-16, 8: 0.0, 16: 2e-16, 32: 3e-16, 64: 4e-16, 128: math.inf, 256: None}
    rows = [record(n=n, rel_error=error) for n, error in errors.items()]
    rows += [record(n=n, rel_error=n / 10, strategy="ones", status="wrong") for n in errors]
    (growth,) = growths(frame_of(rows), "rel_error")
    assert (growth.strategy, growth.n_low, growth.n_high, growth.points) == ("vmap", 16, 64, 3)
    # From 2 to 4 over two doublings.
    assert growth.exponent == pytest.approx(0.5)
    assert {growth.strategy for growth in growths(frame_of(rows))} == {"vmap", "ones"}


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=12))
def test_the_slope_and_its_error_are_those_of_least_squares(ys: list[float]) -> None:
    xs = [math.log(2) * i for i in range(len(ys))]
    design = np.column_stack([xs, np.ones(len(xs))])
    solution, *_ = np.linalg.lstsq(design, np.array(ys), rcond=None)
    residual = np.array(ys) - design @ solution
    covariance = np.linalg.inv(design.T @ design) * (residual @ residual) / (len(ys) - 2)
    slope, error = _slope(list(zip(xs, ys, strict=True)))
    assert slope == pytest.approx(solution[0], abs=1e-9)
    assert error == pytest.approx(math.sqrt(covariance[0, 0]), abs=1e-7)


def test_nothing_was_run(frame_of: FrameOf) -> None:
    frame = frame_of([])
    assert [answer(frame) for answer in (winners, winner_ranges, wrong, failures, unsupported, growths)] == [()] * 6
