"""Text and JSON from elsewhere."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jacstrat.core.plain import parse_json, show_json
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


@settings(max_examples=40)
@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside)
    )
)
def test_json_that_is_shown_has_no_control_characters_and_reads_back(plain) -> None:
    text = show_json(plain, indent=1)
    assert all(sign == "\n" or sign.isprintable() for sign in text)
    assert json.loads(text) == plain


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 20_000, "nested too deep"),
        (b'"\xff"', "not UTF-8 at byte 1"),
        ("", "Expecting value"),
        ("9" * 5000, "digit"),
    ],
)
def test_json_that_is_none_is_a_line(text: str | bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        parse_json(text)
    assert "\n" not in str(caught.value)


def test_half_a_pair_of_surrogates_is_a_question_mark() -> None:
    assert parse_json(r'{"a\ud800": ["\udfff", "\ud83d\ude00", 3]}') == {"a?": ["?", "😀", 3]}
