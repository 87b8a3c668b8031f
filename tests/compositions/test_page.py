"""The page of operations says what is: a row in eight where there are many COMPOSITIONS, else in twenty; or all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.compositions.operations import OPERATIONS
from tests.compositions.page import HEAD, row
from tests.share import THOROUGH

pytestmark = pytest.mark.long(but_one_in=4)

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
MANY = int(os.environ.get("COMPOSITIONS", "0")) >= 1000
EVERY = 1 if THOROUGH else 8 if MANY else 20


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
