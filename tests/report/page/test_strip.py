"""A strip as SVG: a row a strategy, the fastest on top, each at its time; names are text."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from itertools import pairwise

from jacstrat.record import Record
from jacstrat.report.figures.plots import picture_of
from jacstrat.report.page.panels import Numbering
from jacstrat.report.page.strip import LEFT, RIGHT, ROW, TOP, WIDTH, strip

Make = Callable[..., Record]
EVIL = '<b>"&'


def drawn(rows: list[Record]) -> ElementTree.Element:
    picture = picture_of("time", rows)
    assert picture is not None
    return ElementTree.fromstring(strip(picture, Numbering(), EVIL))


def test_the_fastest_stands_on_top_and_each_at_its_time(record: Make) -> None:
    times = {"slow": 4e-6, "fast": 1e-6, "between": 2e-6}
    root = drawn([record(strategy=name, median_s=time) for name, time in times.items()])
    uses = [*root.iter("use")]
    assert [use.findtext("title") for use in uses] == [
        "fast, n = 4: 1.00 µs",
        "between, n = 4: 2.00 µs",
        "slow, n = 4: 4.00 µs",
    ]
    assert [float(use.get("y", "")) for use in uses] == [TOP + ROW * (row + 0.5) for row in range(3)]
    first, second, third = (float(use.get("x", "")) for use in uses)
    assert LEFT <= first < second < third <= WIDTH - RIGHT
    assert abs((third - second) - (second - first)) < 0.2, "a factor of two is as wide everywhere"


def test_a_wrong_one_says_so_and_no_name_is_markup(record: Make) -> None:
    root = drawn([record(strategy=EVIL, status="wrong"), record(strategy="right", median_s=1e-3)])
    (_, wrong) = sorted((use.get("class", ""), use.findtext("title", "")) for use in root.iter("use"))
    assert wrong[0] == "p w"
    assert wrong[1].startswith(f"{EVIL}, n = 4: ")
    assert wrong[1].endswith(", wrong")
    assert root.get("aria-label") == EVIL


def test_labels_of_ticks_do_not_run_into_each_other(record: Make) -> None:
    root = drawn([record(strategy=f"s{k}", median_s=time) for k, time in enumerate((17.5e-3, 33e-3, 87e-3, 195e-3))])
    places = [float(text.get("x", "")) for text in root.iter("text") if text.get("class") == "c"]
    assert len(places) >= 2
    assert all(right - left >= 45.9 for left, right in pairwise(places)), "room for such as 200 ms"
