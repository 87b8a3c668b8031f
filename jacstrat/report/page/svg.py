"""A picture as SVG: it reads without a script, and has what the script needs to show values and to hide strategies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from jacstrat.report.page.axis import x_axis, y_axis
from jacstrat.report.palette import WRONG_DASH, Dash, style
from jacstrat.report.picture import TIME, Picture
from jacstrat.report.series import Point, Series, touches_wrong

WIDTH, HEIGHT = 560, 360
TOP, BOTTOM, LEFT, RIGHT = 12, 48, 74, 14
NOTES = 76
"""Room on the right for the labels of references."""
VALUED = 12
"""Most strategies side by side that have their values above them."""
CROWDED = 40
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


def swatch(strategy: str) -> str:
    """The line and the marker of a strategy, in its colour, for a legend."""
    return (
        '<svg class="sw" viewBox="0 0 30 14" aria-hidden="true">'
        f'<path class="l" d="M1 7H29"{dashes(style(strategy).dash)}/>'
        f'<use href="#{marker_id(strategy)}" x="15" y="7" class="p"/></svg>'
    )


def svg(picture: Picture, number: Callable[[str], int], label: str) -> str:
    """The picture as one `<svg>` element; all text in it is escaped.

    Args:
        picture: What to draw.
        number: Of a strategy: its lines have the classes "s" and "k<number>", its colour is that of the class.
        label: What a screen reader says the plot is.
    """
    plot = _Plot(picture)
    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" tabindex="0" aria-label="{escape(label)}">',
        plot.frame(),
        plot.references(),
    ]
    parts += [plot.line(rank, line, number(line.strategy)) for rank, line in enumerate(picture.series, start=1)]
    return "".join([*parts, "</svg>"])


class _Plot:
    """The axes of a picture, and its parts as markup."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.single = len({point.n for line in picture.series for point in line.points}) == 1
        self.xs = x_axis(picture, self.single)
        self.ys, self.place = y_axis(picture)
        self.right = WIDTH - (NOTES if picture.references else RIGHT)

    def x(self, value: float) -> float:
        return LEFT + self.xs.at(value) * (self.right - LEFT)

    def y(self, value: float) -> float:
        return _px(self.ys.at(value))

    def frame(self) -> str:
        """Bands, grid, ticks and titles of the axes."""
        base, middle = HEIGHT - BOTTOM, (LEFT + self.right) / 2
        bands = "".join(
            f'<rect class="band" x="{LEFT}" y="{_px(high):.1f}" width="{self.right - LEFT}" '
            f'height="{_px(low) - _px(high):.1f}"/>'
            for low, high in self.ys.bands
        )
        across = [(_px(share), label) for share, label in self.ys.ticks]
        up = [(LEFT + share * (self.right - LEFT), label) for share, label in self.xs.ticks]
        grid = "".join(f"M{LEFT} {y:.1f}H{self.right}" for y, _ in across)
        grid += "".join(f"M{x:.1f} {TOP}V{base}" for x, _ in up)
        texts = "".join(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" class="e">{escape(t)}</text>' for y, t in across)
        texts += "".join(f'<text x="{x:.1f}" y="{base + 18}" class="c">{escape(t)}</text>' for x, t in up)
        n = next(point.n for line in self.picture.series for point in line.points)
        alone = f"n = {n:g}; in the order of the legend" if self.picture.x == "n" else self.picture.xlabel
        title = alone if self.single and "legend" not in self.picture.xlabel else self.picture.xlabel
        return (
            f'{bands}<path class="grid" d="{grid}"/><path class="base" d="M{LEFT} {TOP}V{base}H{self.right}"/>{texts}'
            f'<text x="{middle:.0f}" y="{HEIGHT - 6}" class="c t">{escape(title)}</text>'
            f'<text transform="translate(14 {(TOP + base) / 2:.0f}) rotate(-90)" class="c t y">'
            f"{escape(self.picture.ylabel)}</text>"
        )

    def references(self) -> str:
        """Curves with their labels, the front, and vertical marks."""
        parts, ends = [], []
        for line in self.picture.references:
            curve = line.curve
            if line.points:
                at = [(self.x(x), self.y(y)) for x, y in line.points]
                at = [(LEFT, at[0][1]), (self.right, at[0][1])] if self.single else at
            elif curve and self.single:
                n = self.picture.series[0].points[0].n
                at = [(LEFT, self.y(curve(n))), (self.right, self.y(curve(n)))]
            elif curve:
                shares = [i / 64 for i in range(65)]
                values = [self.xs.low + share * (self.xs.high - self.xs.low) for share in shares]
                xs = [10**value if self.xs.log else value for value in values]
                at = [(self.x(x), self.y(curve(x))) for x in xs]
            at = [(x, y) for x, y in at if TOP - 0.5 <= y <= HEIGHT - BOTTOM + 0.5]
            if at:
                parts.append(f'<path class="ref" d="{_path(at)}"/>')
                ends.append((at[-1], line.label))
        parts += [_note(at, text) for at, text in _apart(ends)]
        if self.picture.front:
            steps: list[str] = []
            for series, point in self.picture.front:
                x, y = self.x(point.n), self.y(self.place(series, point))
                steps.append(f"H{x:.1f}V{y:.1f}" if steps else f"M{x:.1f} {y:.1f}")
            parts.append(f'<path class="front" d="{"".join(steps)}"/>')
        for mark in () if self.single else self.picture.marks:
            x = self.x(mark.x)
            parts.append(
                f'<path class="mark" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
                f'<text class="m" transform="translate({x - 4:.1f} {HEIGHT - BOTTOM - 5}) rotate(-90)">'
                f"{escape(mark.words)}</text>"
            )
        return "".join(parts)

    def line(self, rank: int, line: Series, number: int) -> str:
        """A strategy: its band, its line, its points."""
        parts = []
        for run in () if self.single else line.runs():
            at = [(self.x(point.n), self.y(self.place(line, point))) for point in run]
            lows = [(self.x(p.n), self.y(p.low)) for p in run if p.low is not None]
            highs = [(self.x(p.n), self.y(p.high)) for p in run if p.high is not None]
            if len(lows) == len(highs) == len(run):
                parts.append(f'<path class="b" d="{_path([*highs, *reversed(lows)])}Z"/>')
            dash = WRONG_DASH if touches_wrong(run) else style(line.strategy).dash
            parts.append(f'<path class="l" d="{_path(at)}"{dashes(dash)}/>')
        marker = marker_id(line.strategy)
        small = ' class="p tiny"' if len(line.points) > CROWDED else ' class="p"'
        for point in line.points:
            x = self.x(rank if self.single else point.n)
            y = self.y(self.place(line, point))
            if self.single and point.low is not None and point.high is not None:
                parts.append(f'<path class="l" d="M{x:.1f} {self.y(point.low):.1f}V{self.y(point.high):.1f}"/>')
            look = ' class="p w"' if point.wrong else small
            parts.append(
                f'<use href="#{marker}" x="{x:.1f}" y="{y:.1f}"{look}>'
                f"<title>{escape(self.words(line, point))}</title></use>"
            )
            if self.single and len(self.picture.series) <= VALUED:
                high = self.y(point.high) if point.high else y
                parts.append(
                    f'<text class="c v" x="{x:.1f}" y="{min(y, high) - 9:.1f}">'
                    f"{escape(self.picture.unit.show(point.value))}</text>"
                )
        return f'<g class="s k{number}">{"".join(parts)}</g>'

    def words(self, line: Series, point: Point) -> str:
        """A point in words: the strategy, where it is, its value and its band."""
        show, kind = self.picture.unit.show, self.picture.x
        name = {"n": "n", "seconds": "", "rounds": "round"}[kind] if self.picture.name != "budget" else "products"
        where = TIME.show(point.n) if kind == "seconds" else f"{name} = {point.n:g}"
        value = "exact" if self.picture.errors and point.value == 0 else show(point.value)
        band = ""
        if point.low is not None and point.high is not None:
            band = f" [{show(point.low)}, {show(point.high)}]"
        return f"{line.strategy}, {where}: {value}{band}{', wrong' * point.wrong}"


def _px(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def _path(at: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at)


def _apart(ends: Sequence[tuple[tuple[float, float], str]]) -> list[tuple[tuple[float, float], str]]:
    """Labels at the ends of references; those that would overlap share one."""
    shown: list[tuple[tuple[float, float], str]] = []
    for (x, y), text in sorted(ends, key=lambda end: end[0][1], reverse=True):
        if shown and shown[-1][0][1] - y < 14:
            (at, before) = shown.pop()
            shown.append((at, f"{before}, {text}"))
        else:
            shown.append(((x, y), text))
    return shown


def _note(at: tuple[float, float], text: str) -> str:
    return f'<text class="n" x="{at[0] + 5:.1f}" y="{at[1] + 4:.1f}">{escape(text)}</text>'
