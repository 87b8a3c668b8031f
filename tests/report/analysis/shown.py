"""What a terminal shows of tables."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType


def text_of(*renderables: RenderableType, width: int = 80, encoding: str = "utf-8", color: bool = False) -> str:
    buffer = io.BytesIO()
    with io.TextIOWrapper(buffer, encoding=encoding, newline="") as file:
        system = "standard" if color else None
        console = Console(file=file, width=width, force_terminal=color, color_system=system)
        console.print(*renderables)
        file.flush()
        return buffer.getvalue().decode(encoding)


def rows_of(text: str) -> list[list[str]]:
    """The words of each line below the rule."""
    lines = text.splitlines()
    rule = next(i for i, line in enumerate(lines) if line.startswith("─"))
    return [line.split() for line in lines[rule + 1 :] if line.strip()]
