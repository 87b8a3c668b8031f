"""Messages of exceptions: on one line, bounded, whatever f makes of them."""

from __future__ import annotations

import pytest

from jacstrat.core.errors import MOST_CHARACTERS, UsageError, in_words, message_of


class SilentError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class NumberError(Exception):
    def __str__(self):
        return 7


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("one\n two\t three"), "ValueError: one two three"),
        (UsageError("read alone"), "read alone"),
        (ValueError(), "ValueError: no message"),
        (SilentError(), "SilentError: no message: its own __str__ raises RuntimeError"),
        (NumberError(), "NumberError: no message: its own __str__ raises TypeError"),
    ],
)
def test_an_exception_is_one_line(error: Exception, words: str) -> None:
    assert in_words(error) == words


@pytest.mark.parametrize("text", ["a" * 10**7, "a b\n" * 10**6, " " * 10**7 + "late"])
def test_a_message_is_cut(text: str) -> None:
    assert len(message_of(ValueError(text))) <= MOST_CHARACTERS
    assert message_of(ValueError(text)).endswith("…") or "no message" in message_of(ValueError(text))


def test_a_message_that_fits_is_whole() -> None:
    assert message_of(ValueError("a" * MOST_CHARACTERS)) == "a" * MOST_CHARACTERS
    assert message_of(ValueError("a" * (MOST_CHARACTERS + 1))) == "a" * (MOST_CHARACTERS - 1) + "…"
    assert message_of(ValueError("a" * 100), 10) == "a" * 9 + "…"
