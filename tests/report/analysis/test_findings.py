"""What a run found, in the order in which it is told."""

import io
from collections.abc import Callable, Iterable

import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import Console

from jacstrat.record import Record
from jacstrat.report.analysis.findings import print_findings
from tests.report.analysis.printed import everything, rows_of

Make = Callable[..., Record]
Sweep = Callable[..., list[Record]]
FrameOf = Callable[[Iterable[Record]], pd.DataFrame]


def findings_of(frame: pd.DataFrame, width: int = 80) -> str:
    file = io.StringIO()
    print_findings(frame, Console(file=file, width=width))
    return file.getvalue()


def test_findings_show_the_growth_of_the_fastest_where_there_is_any(
    sweep: Sweep, record: Make, frame_of: FrameOf
) -> None:
    text = findings_of(frame_of(sweep("linear")), 100)
    (row,) = rows_of(text[text.index("Growth of the fastest: n to this power") :])
    assert row[:4] == ["divergence", "of", "linear", "vmap"]
    assert "Growth" not in findings_of(frame_of(sweep("linear", ns=(1, 2, 4))))
    assert "Growth" not in findings_of(frame_of([record(status="wrong", n=n) for n in range(1, 9)]))


def test_findings_end_a_run(sweep: Sweep, record: Make, frame_of: FrameOf) -> None:
    rows = [*sweep("linear"), record(problem="linear", strategy="hessian", status="unsupported", median_s=None)]
    lines = findings_of(frame_of(rows)).splitlines()
    assert lines[0].startswith("Fastest right strategy")
    assert "Wrong results" in lines
    assert lines[-1] == "1 of 50 cases have no result: 1 unsupported."


def test_findings_without_anything_wrong(sweep: Sweep, frame_of: FrameOf) -> None:
    assert "No result is wrong." in findings_of(frame_of(sweep("sin"))).splitlines()
    assert "Wrong results" not in findings_of(frame_of(sweep("sin")))


def test_findings_of_nothing(frame_of: FrameOf) -> None:
    assert findings_of(frame_of([])) == "No case was run.\n"


@pytest.mark.parametrize("width", [80, 40])
def test_findings_fit_narrow_terminals(width: int, record: Make, sweep: Sweep, frame_of: FrameOf) -> None:
    text = findings_of(frame_of(everything(record, sweep)), width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "vmap" in text
