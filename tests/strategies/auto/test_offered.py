"""The page of which strategy to take shows what `auto` chooses among."""

from tests.pages import ROOT
from tests.strategies.auto.offered import table


def test_the_table_of_what_auto_chooses_among_is_that_of_the_code() -> None:
    assert table() in (ROOT / "docs" / "which.md").read_text(encoding="utf-8")
