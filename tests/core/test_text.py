"""Text from elsewhere."""

from __future__ import annotations

import pytest

from jacstrat.core.text import brief, printable


@pytest.mark.parametrize(
    "text", ["\x1b[31mred\x1b[0m", "two\nlines", "\x9b31m", "\u202egnp", "a\x00b", "\x07", "\u2028"]
)
def test_no_sign_of_a_text_is_an_order_to_a_terminal(text: str) -> None:
    assert printable(text).isprintable()
    assert len(printable(text)) == len(text)


def test_what_reads_as_text_stays(tmp_path) -> None:
    assert printable("größe 漢字 [red]x µ") == "größe 漢字 [red]x µ"


def test_a_value_that_is_long_is_cut_off() -> None:
    assert brief("x" * 100) == "'" + "x" * 59 + "..."
    assert brief(3) == "3"
