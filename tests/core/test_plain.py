"""JSON from elsewhere: what is shown reads back, what is none is a line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jacstrat.core.plain import parse_json, show_json


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
