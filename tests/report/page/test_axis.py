"""An axis of the page."""

from collections.abc import Callable

import pytest

from jacstrat.record import Record
from jacstrat.report.figures.plots import PICTURES, picture_of
from jacstrat.report.page.axis import x_axis, y_axis

Sweep = Callable[..., list[Record]]


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_an_axis_holds_its_ticks(name: str, sweep: Sweep) -> None:
    picture = picture_of(name, sweep("linear"))
    if picture is None:
        assert name in ("floor", "best-flops", "over-light", "roofline", "budget", "products", "samples")
        return
    for axis in (x_axis(picture, False), y_axis(picture)[0]):
        assert len(axis.ticks) >= 2
        assert all(0 <= share <= 1 for share, _ in axis.ticks)
        assert len({label for _, label in axis.ticks}) == len(axis.ticks)
