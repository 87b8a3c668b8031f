"""The page of operators says what is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.strategies.served import HEAD, SPECS, row

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"


def test_the_page_begins_with_its_head() -> None:
    assert PAGE.read_text(encoding="utf-8").startswith(HEAD.read_text(encoding="utf-8").rstrip())


@pytest.mark.long(but_one_in=5)
@pytest.mark.parametrize("spec", SPECS)
def test_a_row_is_what_the_strategy_does(spec: str) -> None:
    lines = PAGE.read_text(encoding="utf-8").split("\n")
    line, told = row(spec)
    assert line in lines
    assert not told or told in lines
