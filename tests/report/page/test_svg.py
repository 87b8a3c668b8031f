"""The SVG of a picture has its values where they belong, and reads without a script."""

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import pytest

from jacstrat.record import Record
from jacstrat.report.analysis.crossing import crossings
from jacstrat.report.figures.picture import Picture
from jacstrat.report.figures.plots import picture_of
from jacstrat.report.page.panels import Numbering
from jacstrat.report.page.svg import LARGE, svg

Make = Callable[..., Record]
Sweep = Callable[..., list[Record]]
OVER_N = ("time", "cost-ratio", "error", "memory")


def drawn(picture: Picture | None) -> ElementTree.Element:
    assert picture is not None
    return ElementTree.fromstring(svg(picture, Numbering(), "a plot"))


def points(root: ElementTree.Element) -> dict[str, tuple[float, float]]:
    """Where each point stands, by its words."""
    return {
        use.findtext("title", ""): (float(use.get("x", "nan")), float(use.get("y", "nan"))) for use in root.iter("use")
    }


@pytest.mark.parametrize("name", OVER_N)
def test_every_point_says_its_value_and_stands_in_the_window(name: str, sweep: Sweep) -> None:
    rows = sweep("linear")
    picture = picture_of(name, rows)
    assert picture is not None
    found = points(drawn(picture))
    assert len(found) == sum(len(line.points) for line in picture.series) == len(rows)
    for x, y in found.values():
        assert 0 < x < LARGE.width
        assert 0 < y < LARGE.height
    for line in picture.series:
        for point in line.points:
            shown = "exact" if name == "error" and point.value == 0 else picture.unit.show(point.value)
            (words,) = [w for w in found if w.startswith(f"{line.strategy}, n = {point.n}: ")]
            assert shown in words
            assert words.endswith(", wrong") == point.wrong


@pytest.mark.parametrize("name", OVER_N)
def test_places_are_logarithmic_in_both(name: str, sweep: Sweep) -> None:
    picture = picture_of(name, sweep("sin"))
    assert picture is not None
    found = points(drawn(picture))
    line = picture.series[0]
    first, *_, last = [p for p in line.points if p.value > 0]
    middle = [p for p in line.points if p.value > 0][1]
    at = {p.n: next(xy for w, xy in found.items() if w.startswith(f"{line.strategy}, n = {p.n}:")) for p in line.points}

    def share(axis: int, of: Callable[[object], float]) -> tuple[float, float]:
        drawn_share = (at[middle.n][axis] - at[first.n][axis]) / (at[last.n][axis] - at[first.n][axis])
        low, value, high = (math.log(of(p)) for p in (first, middle, last))
        return drawn_share, (value - low) / (high - low)

    shown, true = share(0, lambda p: p.n)  # type: ignore[attr-defined]
    assert shown == pytest.approx(true, abs=0.01)
    if last.value != first.value:
        shown, true = share(1, lambda p: p.value)  # type: ignore[attr-defined]
        assert shown == pytest.approx(true, abs=0.02)


def test_wrong_points_are_hollow_and_their_lines_dashed(sweep: Sweep) -> None:
    root = drawn(picture_of("time", sweep("linear")))
    hollow = {
        use.findtext("title", "").split(",")[0] for use in root.iter("use") if "w" in use.get("class", "").split()
    }
    assert hollow == {"ones"}
    dashed = [path.get("stroke-dasharray") for path in root.iter("path") if path.get("class") == "l"]
    assert "6 3.6" in dashed
    assert None in dashed


def test_a_line_ends_where_a_value_is_missing(record: Make) -> None:
    rows = [record(n=n, median_s=None if n == 4 else n * 1e-6) for n in (1, 2, 4, 8, 16)]
    rows += [record(strategy="jvp", n=n) for n in (1, 2, 4, 8, 16)]
    lines = [path.get("d", "") for path in drawn(picture_of("time", rows)).iter("path") if path.get("class") == "l"]
    assert sorted(path.count("L") for path in lines) == [1, 1, 4]


def test_references_marks_front_and_bands_are_drawn(record: Make) -> None:
    rows = [
        record(strategy=s, n=n, median_s=t, f_median_s=1e-6, rel_error=e, cost_ratio=t * 1e6)
        for s, e, times in (("a", 1e-3, (2e-6, 4e-6, 1e-4)), ("b", 0.0, (4e-6, 5e-6, 6e-6)))
        for n, t in zip((1, 2, 8), times, strict=True)
    ]
    looks = {
        name: [(part.tag, part.get("class"), part.text) for part in drawn(picture_of(name, rows)).iter()]
        for name in ("time", "cost-ratio", "pareto")
    }
    assert ("text", "n", "f itself") in looks["time"]
    assert ("text", "m", crossings(rows)[0].words) in looks["time"]
    assert {"b", "ref", "mark"} <= {look for _, look, _ in looks["time"]}
    assert {("text", "n", "n"), ("text", "n", "n + 2")} <= set(looks["cost-ratio"])
    assert {"front", "band"} <= {look for _, look, _ in looks["pareto"]}


def test_a_single_n_stands_side_by_side_with_its_values(sweep: Sweep) -> None:
    root = drawn(picture_of("time", sweep("linear", ns=[16])))
    assert len({x for x, _ in points(root).values()}) == 7
    assert sum(text.get("class") == "c v" for text in root.iter("text")) == 7
    assert any(text.text == "n = 16; in the order of the legend" for text in root.iter("text"))


def test_no_bytes_and_infinite_errors_have_a_place(record: Make) -> None:
    rows = [
        record(n=n, peak_bytes=size, rel_error=error, status="wrong")
        for n, size, error in ((1, 0, 0.0), (2, 1024, 1e-3), (4, 4096, math.inf))
    ]
    for name in ("memory", "error"):
        ys = [y for _, y in points(drawn(picture_of(name, rows))).values()]
        assert ys == sorted(ys, reverse=True)
        assert len(set(ys)) == 3


def test_names_are_text_and_nothing_else(record: Make) -> None:
    rows = [record(problem="<b>&", strategy='<script>alert("x")</script>', n=n) for n in (1, 2)]
    text = svg(picture_of("time", rows), Numbering(), '"<x>')  # type: ignore[arg-type]
    assert "<script" not in text
    root = ElementTree.fromstring(text)
    assert root.get("aria-label") == '"<x>'
    assert all(words.startswith('<script>alert("x")</script>, n') for words in points(root))
