"""Text from elsewhere, made safe to show: names, reasons and paths may hold what moves a terminal's cursor."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text on one line: what is no sign, such as an escape, a line end or a change of direction, is a blank.

    A terminal takes orders from control characters, and a table has a row a line. Files keep the text as it was.
    """
    return text if text.isprintable() else "".join(sign if sign.isprintable() else " " for sign in text)


def brief(value: object, most: int = 60) -> str:
    """A value as an error quotes it: as Python writes it, cut off where it is long."""
    shown = repr(value)
    return shown if len(shown) <= most else f"{shown[:most]}..."
