"""A figure against its target, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

# Units that a figure is shown in, and how many make one of what it is kept in: seconds, a fraction, or bytes.
UNITS: Mapping[str, float] = MappingProxyType(
    {"": 1, "%": 100, "s": 1, "ms": 1e3, "us": 1e6, "MB": 1e-6, "GiB": 2.0**-30}
)


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Fields:
        check: The check that it belongs to.
        what: What was measured, in words.
        value: In seconds, bytes, a fraction, or a count; not a number where it could not be had, which meets no target.
        target: The bound of the value, in its unit.
        unit: What both are shown in, one of UNITS.
        at_least: The target is a lower bound; else an upper one.
        note: What one needs to judge the value.
    """

    check: str
    what: str
    value: float
    target: float
    unit: str = ""
    at_least: bool = False
    note: str = ""

    @property
    def met(self) -> bool:
        return self.value >= self.target if self.at_least else self.value <= self.target

    @property
    def cells(self) -> tuple[str, ...]:
        """The line as text: check, what, target, figure, verdict."""
        bound = f"{'at least' if self.at_least else 'at most'} {self._shown(self.target)}"
        return self.check, self.what, bound, self._shown(self.value), "met" if self.met else "**missed**"

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"met": self.met}

    def _shown(self, value: float) -> str:
        return f"{value * UNITS[self.unit]:.3g} {self.unit}".rstrip()


def table(figures: Sequence[Figure]) -> str:
    """Figures as a Markdown table, their notes in a list below it."""
    heads = ("check", "what", "target", "measured", "")
    rows = [heads, tuple("---" for _ in heads), *(figure.cells for figure in figures)]
    notes = [f"- {figure.check}, {figure.what}: {figure.note}" for figure in figures if figure.note]
    lines = ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines + (["", *notes] if notes else [])) + "\n"
