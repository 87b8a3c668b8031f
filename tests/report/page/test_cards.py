"""Cards: what each is of, in rows of runs beside each other, and how many more there are."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from jacstrat.record import Record
from jacstrat.report.analysis.runs import Run
from jacstrat.report.page.cards import MOST_CARDS
from jacstrat.report.page.write import page

Make = Callable[..., Record]
Sweep = Callable[..., list[Record]]


def run(*records: Record, label: str = "here", sweep: str = "") -> Run:
    return Run(label, Path(label), records, sweep=sweep)


@pytest.mark.parametrize(
    ("column", "value", "look"),
    [("device", "cuda", "gpu"), ("workload", "train", "train"), ("dtype", "float32", "float32")],
)
def test_a_chip_tells_what_a_card_is_of(record: Make, column: str, value: str, look: str) -> None:
    text = page([run(record(), record(**{column: value}))])
    cards = re.findall(r'<article class="card.*?</article>', text, re.DOTALL)
    assert [f'class="chip {look}"' in card for card in cards] == [False, True]
    assert [f">{value}<" in card or ">GPU<" in card for card in cards] == [False, True]


def test_runs_beside_each_other_have_a_row_of_cards(sweep: Sweep) -> None:
    text = page([run(*sweep("sin"), label="left"), run(*sweep("sin"), label="right")])
    row = text[text.index('<div class="beside">') : text.index("left alone")]
    assert row.count("<article") == 2
    assert "At 7 of 7 sizes that they share, one strategy is fastest" in text


def test_of_many_cards_the_rest_are_counted(record: Make) -> None:
    text = page([run(*(record(problem=f"p{i}") for i in range(MOST_CARDS + 2)))])
    assert text.count('<article class="card') == MOST_CARDS
    assert "2 more are among the plots below." in text
