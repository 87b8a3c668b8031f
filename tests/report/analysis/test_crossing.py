import math
from collections.abc import Callable

import pytest

from jacstrat.record import Record
from jacstrat.report.analysis.crossing import crossings

Make = Callable[..., Record]


def test_lines_that_cross_meet_where_their_powers_are_equal(record: Make) -> None:
    # 1 µs n^2 and 8 µs n meet at n = 8, between 4 and 16.
    rows = [record(strategy="identity", n=n, median_s=1e-6 * n**2) for n in (1, 4, 16)]
    rows += [record(strategy="vmap", n=n, median_s=8e-6 * n) for n in (1, 4, 16)]
    (found,) = crossings(rows)
    assert (found.before, found.after, found.n_low, found.n_high) == ("identity", "vmap", 4, 16)
    assert found.n == pytest.approx(8)
    assert found.drawn_at == found.n
    assert found.words == "vmap from n ≈ 8 (4–16)"


def test_without_one_of_the_four_times_there_is_no_n(record: Make) -> None:
    rows = [record(strategy="identity", n=4), record(strategy="vmap", n=16)]
    (found,) = crossings(rows)
    assert found.n is None
    assert found.drawn_at == math.sqrt(4 * 16)
    assert found.words == "vmap from n = 4–16"


def test_a_gap_without_a_right_result_and_another_setting_are_no_crossing(record: Make) -> None:
    rows = [record(strategy="vmap", n=1), record(status="wrong", n=2), record(strategy="jvp", n=4)]
    rows += [record(strategy="identity", n=8, batch=2)]
    assert crossings(rows) == ()
    assert crossings([]) == ()
