"""The look of a figure by its width: sizes of its letters, lines and markers, and where its legend stands."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jacstrat.core.errors import UsageError

INCHES = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4, "pt": 1 / 72}
LEAST_INCHES, MOST_INCHES = 2.0, 20.0
NARROW_INCHES = 5.5
"""Below it a legend stands below the axes, since beside them nothing is left of those."""
LEAST_POINTS = 6.5
"""The smallest letters of a narrow figure: what journals ask for is 6 to 7."""


@dataclass(frozen=True)
class FigureLook:
    """Sizes of a figure.

    Fields:
        width, height: In inches; a legend below the axes adds to the height.
        title, text, label, tick, legend, note: Letters, in points.
        marker, line: In points.
        below: The legend stands below the axes, and the title takes several lines instead of smaller letters.
    """

    width: float
    height: float
    title: float = 13.0
    text: float = 10.5
    label: float = 11.0
    tick: float = 10.0
    legend: float = 9.5
    note: float = 9.0
    marker: float = 7.5
    line: float = 1.8
    below: bool = False

    def letters(self, size: float) -> int:
        """Letters of that size that fit in a line of the figure; one is about 0.58 of its size wide."""
        return max(int(self.width * 72 / (0.6 * size)), 8)


WIDE = FigureLook(8.0, 5.0)


def look_of(width_inches: float | None) -> FigureLook:
    """The look of a figure that is so wide; 8 by 5 inches unless given."""
    if width_inches is None:
        return WIDE
    if width_inches >= NARROW_INCHES:
        return FigureLook(width_inches, width_inches * WIDE.height / WIDE.width)
    return FigureLook(width_inches, width_inches * 0.72, 8.0, 7.0, 7.5, 7.0, 7.0, LEAST_POINTS, 4.5, 1.2, below=True)


def parse_width(text: str) -> float:
    """A width such as "3.4in", "86mm", "8.6cm" or "246pt", in inches.

    Raises:
        UsageError: It is none, or not between LEAST_INCHES and MOST_INCHES.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(in|cm|mm|pt)\s*", text)
    width = float(match[1]) * INCHES[match[2]] if match else 0.0
    if not LEAST_INCHES <= width <= MOST_INCHES:
        raise UsageError(
            f"--width must be from {LEAST_INCHES:g}in to {MOST_INCHES:g}in, in in, cm, mm or pt such as 3.4in, "
            f"got {text!r}"
        )
    return width
