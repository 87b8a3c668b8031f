"""The outlines of markers and the dashes of lines, as SVG."""

from __future__ import annotations

import math

from jacstrat.report.figures.palette import WRONG_DASH, Dash, style

STROKE = 2.0


def _polygon(corners: int, radius: float, turn: float = 0.0, inner: float | None = None) -> str:
    """Corners on a circle, the first one on top and turned by so many degrees; with an inner radius a star."""
    count = corners * (2 if inner else 1)
    places = []
    for i in range(count):
        angle = math.radians(360 * i / count + turn - 90)
        r = inner if inner and i % 2 else radius
        places.append(f"{r * math.cos(angle):.2f},{r * math.sin(angle):.2f}")
    return "M" + "L".join(places) + "Z"


_PLUS = "M-1.7-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7Z"
MARKERS = {
    "s": "M-4-4H4V4H-4Z",
    "o": "M-4.4 0A4.4 4.4 0 1 0 4.4 0A4.4 4.4 0 1 0-4.4 0Z",
    "^": _polygon(3, 5.6),
    "v": _polygon(3, 5.6, 180),
    "<": _polygon(3, 5.6, -90),
    ">": _polygon(3, 5.6, 90),
    "D": _polygon(4, 5.6),
    "d": "M0-6L3.4 0L0 6L-3.4 0Z",
    "p": _polygon(5, 5.2),
    "h": _polygon(6, 5.2),
    "H": _polygon(6, 5.2, 30),
    "8": _polygon(8, 5.0, 22.5),
    "*": _polygon(5, 6.4, 0, 2.7),
    "P": _PLUS,
    "X": "M-2.4-5L0-2.4L2.4-5L5-2.4L2.4 0L5 2.4L2.4 5L0 2.4L-2.4 5L-5 2.4L-2.4 0L-5-2.4Z",
}
"""Outlines about the origin, by matplotlib's name of the marker; for an unknown one a circle."""


def marker_id(strategy: str) -> str:
    """The id of a strategy's marker in `marker_symbols`."""
    marker = style(strategy).marker
    return f"m{list(MARKERS).index(marker if marker in MARKERS else 'o')}"


def marker_symbols() -> str:
    """The outlines of all markers, for `<use>`; to be in the page once."""
    paths = "".join(f'<path id="m{i}" d="{d}"/>' for i, d in enumerate(MARKERS.values()))
    return f'<svg class="defs" width="0" height="0" aria-hidden="true"><defs>{paths}</defs></svg>'


def dashes(dash: Dash) -> str:
    """The attribute of a line for a dash of the palette; "" for a solid one."""
    if isinstance(dash, str):
        return ""
    return f' stroke-dasharray="{" ".join(f"{length * STROKE:g}" for length in dash[1])}"'


def swatch(strategy: str, wrong: bool = False) -> str:
    """The line and the marker of a strategy, in its colour, for a legend; dashed and hollow where it is wrong."""
    return (
        '<svg class="sw" viewBox="0 0 30 14" aria-hidden="true">'
        f'<path class="l" d="M1 7H29"{dashes(WRONG_DASH if wrong else style(strategy).dash)}/>'
        f'<use href="#{marker_id(strategy)}" x="15" y="7" class="p{" w" * wrong}"/></svg>'
    )
