"""The page of operations says what is: every row where COMPOSITIONS asks for many, else one in ten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.compositions.operations import OPERATIONS
from tests.compositions.page import HEAD, row

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
EVERY = 1 if int(os.environ.get("COMPOSITIONS", "0")) >= 1000 else 10


def test_the_page_has_a_row_for_every_operation() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.startswith(HEAD.rstrip())
    assert [name for name in OPERATIONS if f"\n| `{name}` |" not in text] == []


@pytest.mark.parametrize("name", list(OPERATIONS)[::EVERY])
def test_a_row_is_what_strategies_do(name: str) -> None:
    lines = PAGE.read_text(encoding="utf-8").split("\n")
    line, told = row(OPERATIONS[name])
    assert line in lines
    assert not told or told in lines
