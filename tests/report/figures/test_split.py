"""Where the time of a call goes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jacstrat.record import Record
from jacstrat.report.figures.split import draw_split, splits


def test_where_the_time_goes_is_told_of_the_fastest_right_one(seen: Callable[..., Record]) -> None:
    rows = [seen("bad", 1, 1, 1e-6, status="wrong"), seen("a", 1, 1, 2e-6), seen("b", 1, 1, 4e-6, kernel=0.9)]
    (found,) = splits(rows)
    assert [part.strategy for part in found.parts] == ["bad", "a", "b"]
    assert found.answer == "Fastest: a, launch-bound, 75% waiting"
    assert found.parts[2].bound == "kernel-bound, 10% waiting"
    assert found.parts[0].words == "1.00 µs, 3 kernels, wrong"
    (axes,) = draw_split(found).axes
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == pytest.approx([0.25, 0.75, 0.25, 0.75, 0.9, 0.1])
