"""One colour, marker and line style a strategy, the same in every plot whatever else is in it.

Colours are those of Okabe and Ito (jfly.uni-koeln.de/color) and of Paul Tol's "muted" scheme
(sronpersonalpages.nl/~pault), both made for colour-blind readers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from zlib import crc32

from jacstrat.report.analysis.family import family

# On and off lengths in line widths, or "solid". Plain dashes mean "wrong" and are nobody's own.
Dash = str | tuple[int, tuple[float, ...]]

SOLID = "solid"
DOTTED: Dash = (0, (1.0, 1.2))
DASH_DOT: Dash = (0, (6.0, 1.4, 1.0, 1.4))
DASH_DOT_DOT: Dash = (0, (6.0, 1.2, 1.0, 1.2, 1.0, 1.2))
WRONG_DASH: Dash = (0, (3.0, 1.8))

DARK_GROUND = "#14171C"


@dataclass(frozen=True)
class Style:
    """How a strategy is drawn.

    Fields:
        color: "#rrggbb".
        marker: A matplotlib marker that can be filled, or "" for none.
        dash: A matplotlib line style.
    """

    color: str
    marker: str
    dash: Dash = SOLID


STYLES: Mapping[str, Style] = {
    "f": Style("#999999", ""),
    "identity": Style("#000000", "s"),
    "ones": Style("#D55E00", "o"),
    "vmap": Style("#0072B2", "^"),
    "jvp": Style("#009E73", "v"),
    "forward_over_forward": Style("#E69F00", "D"),
    "jacrev": Style("#CC79A7", "P"),
    "jacfwd": Style("#E69F00", "X"),
    "hessian": Style("#882255", "p"),
    "coloring": Style("#56B4E9", "h"),
    "hutchinson": Style("#999933", "<"),
    "hutch++": Style("#117733", ">"),
    "xtrace": Style("#AA4499", "*"),
    "taylor": Style("#332288", "d"),
    "chain": Style("#CC6677", "8"),
    "auto": Style("#777777", "H"),
}

# For families that are not in the table: colours that no entry of it has.
_COLORS = ("#44AA99", "#004488", "#997700", "#994455", "#6699CC", "#EE99AA")
_MARKERS = ("o", "s", "^", "v", "D", "P", "X", "p", "h", "<", ">", "*", "d")
_DASHES = (DASH_DOT, DOTTED, DASH_DOT_DOT)
_SHADES = (0.0, 0.3, -0.25, 0.15, -0.45)
_NUMBER = re.compile(r"\d+")


def style(spec: str) -> Style:
    """The style of a strategy, from its spec alone.

    A spec that is no entry of STYLES has its family's colour in one of five shades, and a line that is never solid,
    so that it differs from the family's own. An unknown family gets a colour by its name.
    """
    if spec in STYLES:
        return STYLES[spec]
    name = family(spec)
    known = STYLES.get(name)
    color = known.color if known else _COLORS[_hash(name) % len(_COLORS)]
    # There are 13 * 3 * 5 = 195 variants. A number moves along them by itself: 1, 2, 3, ..., 195 are distinct, and so
    # are the powers of two to 2048. A hash alone would make two of ten chunk sizes alike in every third plot.
    steps = sum(weight * int(number) for weight, number in enumerate(_NUMBER.findall(spec), start=1))
    index = _hash(_NUMBER.sub("", spec)) + steps
    marker = _MARKERS[index % len(_MARKERS)]
    dash = _DASHES[index // len(_MARKERS) % len(_DASHES)]
    shade = _SHADES[index // (len(_MARKERS) * len(_DASHES)) % len(_SHADES)]
    return Style(_shaded(color, shade), marker, dash)


def _hash(text: str) -> int:
    return crc32(text.encode())  # the same in every process, unlike hash()


def _shaded(color: str, amount: float) -> str:
    """The colour mixed with white where amount > 0, with black where amount < 0."""
    target = 255 if amount > 0 else 0
    parts = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(part + (target - part) * abs(amount)):02X}" for part in parts)


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, 1 to 21, as WCAG 2.2 defines it."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def on_dark(color: str, ground: str = DARK_GROUND) -> str:
    """The colour on a dark ground: mixed with as little white, in steps of 5 %, as gives it a contrast of 4."""
    shades = (_shaded(color, step / 20) for step in range(21))
    return next((shade for shade in shades if contrast(shade, ground) >= 4), "#FFFFFF")
