"""The terminal: a console on which no text is an order to it."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from jacstrat.core.text import printable


class Terminal(Console):
    """A console that prints texts as they read: control characters, which names and reasons may hold, are blanks."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str("\n".join(map(printable, text.split("\n"))), **options)

    def on_broken_pipe(self) -> None:
        """Let the command line end the program, which rich would with exit code 1."""
        raise

    def say(self, text: str, style: str = "") -> None:
        """One line, as long as it is: nothing in it is markup, a number or a path."""
        self.print(printable(text), style=style, markup=False, highlight=False, soft_wrap=True)
