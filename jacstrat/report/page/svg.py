"""A picture as SVG: it reads without a script, and has what the script needs to show values and to hide strategies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from jacstrat.report.analysis.units import shortened
from jacstrat.report.figures.budget import BUDGET, PRODUCTS
from jacstrat.report.figures.palette import WRONG_DASH, style
from jacstrat.report.figures.picture import TIME, Picture
from jacstrat.report.figures.series import Curve, CurvePoint, touches_wrong
from jacstrat.report.figures.ticks import spaced
from jacstrat.report.page.axis import x_axis, y_axis
from jacstrat.report.page.markers import dashes, marker_id


@dataclass(frozen=True)
class Box:
    """The room of a plot, in units of its view box.

    Fields:
        width, height: Of the whole.
        top, bottom, left, right: Around the axes.
        notes: In the place of `right` where references have labels.
        named: The lines bear their names at their ends, and the axes no titles: the plot needs no legend.
        ticks, room: The most ticks of y, and the share of the x axis that a tick takes.
    """

    width: int
    height: int
    top: int
    bottom: int
    left: int
    right: int
    notes: int = 0
    named: bool = False
    ticks: int = 7
    room: float = 1 / 9

    @property
    def base(self) -> int:
        """The height of the x axis."""
        return self.height - self.bottom


LARGE = Box(560, 360, 12, 48, 74, 14, notes=76)
SMALL = Box(340, 190, 8, 24, 52, 100, named=True, ticks=4, room=1 / 5)
NAME_LIMIT = 16
LINE_HEIGHT = 13
"""The least distance of two names at the ends of lines."""
VALUED = 12
"""Most strategies side by side that have their values above them."""
CROWDED = 40


def svg(picture: Picture, number: Callable[[str], int], label: str, box: Box = LARGE) -> str:
    """The picture as one `<svg>` element; all text in it is escaped.

    Args:
        picture: What to draw.
        number: Of a strategy: its lines have the classes "s" and "k<number>", its colour is that of the class.
        label: What a screen reader says the plot is.
        box: Its room.
    """
    plot = _Plot(picture, box)
    parts = [
        f'<svg class="plot" viewBox="0 0 {box.width} {box.height}" role="img" tabindex="0" '
        f'aria-label="{escape(label)}">',
        plot.frame(),
        plot.references(),
    ]
    parts += [plot.line(rank, line, number(line.strategy)) for rank, line in enumerate(picture.series, start=1)]
    parts += [plot.names(number)] if box.named else []
    return "".join([*parts, "</svg>"])


class _Plot:
    """The axes of a picture, and its parts as markup."""

    def __init__(self, picture: Picture, box: Box) -> None:
        self.picture, self.box = picture, box
        self.single = len({point.n for line in picture.series for point in line.points}) == 1
        self.xs = x_axis(picture, self.single, box.room, box.named)
        self.ys, self.value_of = y_axis(picture, box.ticks)
        self.right = box.width - (box.notes if picture.references else box.right)

    def x(self, value: float) -> float:
        return self.box.left + self.xs.at(value) * (self.right - self.box.left)

    def y(self, value: float) -> float:
        return self._px(self.ys.at(value))

    def _px(self, share: float) -> float:
        return self.box.base - share * (self.box.base - self.box.top)

    def frame(self) -> str:
        """Bands, grid, ticks and titles of the axes."""
        left, top, base = self.box.left, self.box.top, self.box.base
        middle = (left + self.right) / 2
        bands = "".join(
            f'<rect class="band" x="{left}" y="{self._px(high):.1f}" width="{self.right - left}" '
            f'height="{self._px(low) - self._px(high):.1f}"/>'
            for low, high in self.ys.bands
        )
        across = [(self._px(share), label) for share, label in self.ys.ticks]
        up = [(left + share * (self.right - left), label) for share, label in self.xs.ticks]
        grid = "".join(f"M{left} {y:.1f}H{self.right}" for y, _ in across)
        grid += "".join(f"M{x:.1f} {top}V{base}" for x, _ in up)
        texts = "".join(f'<text x="{left - 8}" y="{y + 4:.1f}" class="e">{escape(t)}</text>' for y, t in across)
        texts += "".join(f'<text x="{x:.1f}" y="{base + 18}" class="c">{escape(t)}</text>' for x, t in up)
        n = next(point.n for line in self.picture.series for point in line.points)
        size = self.picture.setting.size
        alone = f"{size} = {n:g}; in the order of the legend" if self.picture.x == "n" else self.picture.xlabel
        title = alone if self.single and "legend" not in self.picture.xlabel else self.picture.xlabel
        axes = (
            f'{bands}<path class="grid" d="{grid}"/><path class="base" d="M{left} {top}V{base}H{self.right}"/>{texts}'
        )
        if self.box.named:
            return axes
        return (
            f'{axes}<text x="{middle:.0f}" y="{self.box.height - 6}" class="c t">{escape(title)}</text>'
            f'<text transform="translate(14 {(top + base) / 2:.0f}) rotate(-90)" class="c t y">'
            f"{escape(self.picture.ylabel)}</text>"
        )

    def references(self) -> str:
        """Curves with their labels, the front, and vertical marks."""
        parts, ends = [], []
        for line in self.picture.references:
            curve = line.curve
            if line.points:
                at = [(self.x(x), self.y(y)) for x, y in line.points]
                at = [(self.box.left, at[0][1]), (self.right, at[0][1])] if self.single else at
            elif curve and self.single:
                n = self.picture.series[0].points[0].n
                at = [(self.box.left, self.y(curve(n))), (self.right, self.y(curve(n)))]
            elif curve:
                shares = [i / 64 for i in range(65)]
                values = [self.xs.low + share * (self.xs.high - self.xs.low) for share in shares]
                xs = [10**value if self.xs.log else value for value in values]
                at = [(self.x(x), self.y(curve(x))) for x in xs]
            at = [(x, y) for x, y in at if self.box.top - 0.5 <= y <= self.box.base + 0.5]
            if at:
                parts.append(f'<path class="ref" d="{_path(at)}"/>')
                ends.append((at[-1], line.label))
        parts += [_note(at, text) for at, text in _apart(ends)]
        if self.picture.front:
            steps: list[str] = []
            for series, point in self.picture.front:
                x, y = self.x(point.n), self.y(self.value_of(series, point))
                steps.append(f"H{x:.1f}V{y:.1f}" if steps else f"M{x:.1f} {y:.1f}")
            parts.append(f'<path class="front" d="{"".join(steps)}"/>')
        for mark in () if self.single else self.picture.marks:
            x = self.x(mark.x)
            parts.append(
                f'<path class="mark" d="M{x:.1f} {self.box.top}V{self.box.base}"/>'
                f'<text class="m" transform="translate({x - 4:.1f} {self.box.base - 5}) rotate(-90)">'
                f"{escape(mark.words)}</text>"
            )
        return "".join(parts)

    def line(self, rank: int, line: Curve, number: int) -> str:
        """A strategy: its band, its line, its points."""
        parts = []
        for run in () if self.single else line.runs():
            at = [(self.x(point.n), self.y(self.value_of(line, point))) for point in run]
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
            y = self.y(self.value_of(line, point))
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

    def names(self, number: Callable[[str], int]) -> str:
        """The names of the lines right of the axes, in the order of their ends, each joined to its end by a hair."""
        ends = [(self.y(self.value_of(line, line.points[-1])), line) for line in self.picture.series]
        ends.sort(key=lambda end: end[0])
        heights = spaced([y for y, _ in ends], LINE_HEIGHT, self.box.top + 4, self.box.base)
        parts = []
        for (y, line), height in zip(ends, heights, strict=True):
            x = self.x(line.points[-1].n)
            wrong = " w" if line.points[-1].wrong else ""
            parts.append(
                f'<g class="s k{number(line.strategy)}"><path class="hair" d="M{x + 6:.1f} {y:.1f}'
                f'L{self.right + 3:.1f} {height:.1f}"/>'
                f'<text class="end{wrong}" x="{self.right + 6:.1f}" y="{height + 4:.1f}">'
                f"{escape(shortened(line.strategy, NAME_LIMIT))}{', wrong' * bool(wrong)}</text></g>"
            )
        return "".join(parts)

    def words(self, line: Curve, point: CurvePoint) -> str:
        """A point in words: the strategy, where it is, its value and its band."""
        show, kind = self.picture.unit.show, self.picture.x
        budget = self.picture.name in (BUDGET, PRODUCTS)
        size = self.picture.setting.size
        name = (
            "products" if budget else {"n": size, "seconds": "", "rounds": "round", "intensity": "FLOPs a byte"}[kind]
        )
        where = TIME.show(point.n) if kind == "seconds" else f"{name} = {point.n:.4g}"
        value = "exact" if self.picture.errors and point.value == 0 else show(point.value)
        band = ""
        if point.low is not None and point.high is not None:
            band = f" [{show(point.low)}, {show(point.high)}]"
        return f"{line.strategy}, {where}: {value}{band}{', wrong' * point.wrong}"


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
