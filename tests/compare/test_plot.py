"""The plot shows the ratios that the comparison has."""

from __future__ import annotations

from pathlib import Path

import pytest

from jacstrat.compare.comparison import compare
from jacstrat.compare.plot import MOST_LINES, ratio_plot, write_plot
from jacstrat.compare.verdict import Comparison
from jacstrat.core.errors import UsageError

from .conftest import records_of, side_of, timed_side


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare(timed_side(1), timed_side(2, {3: 2.0}))


def test_points_and_intervals_are_those_of_the_findings(comparison: Comparison) -> None:
    (axes,) = ratio_plot(comparison, 0.05).axes
    points = {line.get_label(): line.get_xdata()[0] for line in axes.lines if "/" in str(line.get_label())}
    spans = {bars.get_label(): bars.get_segments()[0][:, 0] for bars in axes.collections if "/" in bars.get_label()}
    assert points == {case.case: case.time.ratio for case in comparison.cases}
    assert {key: tuple(ends) for key, ends in spans.items()} == {
        case.case: (case.time.low, case.time.high) for case in comparison.cases
    }
    assert axes.get_xlabel() == "cost ratio of NEW over that of BASE, with 95 % interval"
    # The largest on top, with its name beside it.
    assert axes.get_yticklabels()[-1].get_text() == "divergence of sin, n=4, jvp"


def test_of_many_cases_the_remarkable_are_shown() -> None:
    ns = tuple(range(1, 21))
    comparison = compare(timed_side(1, ns=ns), timed_side(2, {50: 2.0}, ns=ns))
    (axes,) = ratio_plot(comparison, 0.05).axes
    labels = {str(line.get_label()) for line in axes.lines if "/" in str(line.get_label())}
    assert len(labels) == MOST_LINES
    assert comparison.cases[50].case in labels
    assert f"{MOST_LINES} of 100 shown" in axes.get_title(loc="left")


@pytest.mark.parametrize(("name", "magic"), [("a.png", b"\x89PNG"), ("new/b.svg", b"<?xml"), ("c.PDF", b"%PDF")])
def test_files(comparison: Comparison, tmp_path: Path, name: str, magic: bytes) -> None:
    write_plot(comparison, tmp_path / name, 0.05)
    assert (tmp_path / name).read_bytes().startswith(magic)


def test_what_cannot_be_drawn(comparison: Comparison, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"its file must end in .png, .svg or .pdf, got a.gif"):
        write_plot(comparison, tmp_path / "a.gif", 0.05)
    untimed = compare(side_of(records_of()), side_of(records_of()))
    with pytest.raises(UsageError, match="there is no time to plot"):
        write_plot(untimed, tmp_path / "a.png", 0.05)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_plot(comparison, tmp_path / "file" / "a.png", 0.05)
