"""What a run found, in the order in which it is told."""

import io
from collections.abc import Callable, Iterable

import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import Console

from jacstrat.record import Record
from jacstrat.report.analysis.findings import LEAST_OF_A_SHEET, findings, print_findings, print_screen
from tests.report.analysis.printed import everything, rows_of

pytestmark = pytest.mark.long(but_one_in=4)

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


@pytest.mark.parametrize("height", range(8, 60))
def test_a_screen_is_no_longer_than_the_console_and_ends_in_no_head_of_a_sheet(height: int, sweep: Sweep) -> None:
    told = findings([row for problem in ("linear", "tanh_field", "bratu") for row in sweep(problem, ns=(1, 2, 4))])
    file = io.StringIO()
    print_screen(told, Console(file=file, width=80, height=height), "jacstrat report DIR")
    lines = file.getvalue().splitlines()
    assert len(lines) <= max(height - 4, LEAST_OF_A_SHEET) + 1
    if lines[-1].startswith("... "):
        assert lines[-1].endswith(" more lines: jacstrat report DIR")
        above = [line for line in lines[:-1] if line.strip()]
        assert not set(above[-1]) <= {"─"}, "a rule below which nothing stands"
        assert above[-1] != "Wrong results"
        assert not above[-1].startswith("problem ")
    else:
        assert "Wrong results" in lines
