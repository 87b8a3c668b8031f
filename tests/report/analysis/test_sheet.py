"""Sheets in terminals: of any width, without colour, without Unicode, and with text of records as text."""

from collections.abc import Callable, Iterable

import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import RenderableType

from jacstrat.record import Record
from jacstrat.report.analysis.case_sheets import records_table
from jacstrat.report.analysis.tables import (
    failures_table,
    growth_table,
    unsupported_table,
    winners_table,
    wrong_table,
)
from tests.report.analysis.printed import everything, text_of

Make = Callable[..., Record]
Sweep = Callable[..., list[Record]]
FrameOf = Callable[[Iterable[Record]], pd.DataFrame]
TABLES = [winners_table, wrong_table, failures_table, unsupported_table, growth_table, records_table]


@pytest.mark.parametrize("table", [failures_table, unsupported_table, wrong_table])
def test_an_empty_table_says_none(
    table: Callable[[pd.DataFrame], RenderableType], record: Make, frame_of: FrameOf
) -> None:
    assert text_of(table(frame_of([record()]))).splitlines()[-1] == "none"


@pytest.mark.parametrize("table", TABLES)
def test_any_width_is_kept(
    table: Callable[[pd.DataFrame], RenderableType], record: Make, sweep: Sweep, frame_of: FrameOf
) -> None:
    drawn = table(frame_of(everything(record, sweep)))
    for width in (200, 80, 60, 40, 20, 5, 1):
        text = text_of(drawn, width=width)
        assert text.strip(), width
        assert max(cell_len(line) for line in text.splitlines()) <= max(width, 2), width


def test_a_narrow_terminal_says_what_it_does_not_show(sweep: Sweep, frame_of: FrameOf) -> None:
    table = records_table(frame_of(sweep("linear")))
    assert "not shown" not in text_of(table, width=80)
    assert text_of(table, width=60).splitlines()[-1] == "not shown at this width: error, peak"


def test_text_of_records_is_no_markup_and_no_control_sequence(record: Make, frame_of: FrameOf) -> None:
    name = "[red]x[/red] \x1b[31mred\nline"
    text = text_of(records_table(frame_of([record(strategy=name)])), width=120, color=True)
    assert "[red]x[/red]  [31mred line" in text


def test_a_console_without_unicode_gets_ascii(record: Make, frame_of: FrameOf) -> None:
    frame = frame_of([record(n=n, strategy=name) for n in (1, 2) for name in ("größe", "vmap")])
    text = text_of(winners_table(frame), records_table(frame), encoding="ascii", width=120)
    assert "10.0 us" in text
    assert "gr??e" in text
    assert "1-2" in text
