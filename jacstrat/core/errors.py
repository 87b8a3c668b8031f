"""What can be the matter, each with its name, and the one way to look a name up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")

# A reason is a line of a table; what f raises may hold a tensor, or whatever f likes.
MOST_CHARACTERS = 1000
# What is searched for what torch says, before it is cut to that.
MOST_SEARCHED = 20_000


class JacstratError(Exception):
    """Base of every error that jacstrat raises on purpose; its message is one line."""


class UnsupportedError(JacstratError):
    """A strategy cannot serve this function or operator; the message says why."""


class WrongResultError(JacstratError):
    """A strategy was found to give another result than it should; the message says by how much."""


class ShapeError(JacstratError):
    """A tensor or a function's result has a shape that the operator cannot use; names the shapes."""


class MissingError(JacstratError):
    """A strategy needs what is not installed here; the message has the command that installs it."""


class CrashedError(JacstratError):
    """A process that a strategy works by has died; the message has its last words."""


class UsageError(JacstratError):
    """The caller asked for something that does not exist or cannot be; names the value and the remedy."""


def message_of(error: BaseException, most: int = MOST_CHARACTERS) -> str:
    """The message of an exception on one line of at most so many characters, whatever its `__str__` does."""
    try:
        text = str(error)
    except (Exception, SystemExit) as another:
        return f"no message: its own __str__ raises {type(another).__name__}"
    # Four times as many: white space goes.
    line = " ".join(text[: 4 * most].split()) or "no message"
    return line if len(line) <= most and len(text) <= 4 * most else f"{line[: most - 1]}…"


def in_words(error: BaseException) -> str:
    """An exception on one line: its message, and before it its type unless the message was written to be read alone."""
    text = message_of(error)
    return text if isinstance(error, JacstratError) else f"{type(error).__name__}: {text}"


def lookup(kind: str, name: str, table: Mapping[str, T]) -> T:
    """The entry called `name`, or a UsageError that suggests the nearest names.

    Args:
        kind: What the table holds, in the singular: "strategy".
        name: The name asked for.
        table: Entries by name.
    """
    try:
        return table[name]
    except KeyError:
        raise UsageError(unknown(kind, name, table)) from None


def unknown(kind: str, name: str, names: Iterable[str]) -> str:
    """One line that says a name is unknown and which ones are near, or all of them where none is."""
    known = sorted(names)
    near = get_close_matches(name, known, n=3, cutoff=0.6)
    remedy = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}"
    return f"unknown {kind} {name!r}; {remedy}"
