"""Tables and findings as they are printed."""

import io
from collections.abc import Callable

from rich.console import Console, RenderableType

from jacstrat.core.status import STATUSES
from jacstrat.record import Record

Make = Callable[..., Record]
Sweep = Callable[..., list[Record]]


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


def everything(record: Make, sweep: Sweep) -> list[Record]:
    names = {"problem": "[red]x", "strategy": "größe<b>[/]\x1b[31m\n漢字"}
    odd = [
        record(**names, n=2**i, status=status, reason="[bold]\tno", median_s=None) for i, status in enumerate(STATUSES)
    ]
    return [*sweep("linear"), *sweep("linear", batch=64, workload="train"), *odd]
