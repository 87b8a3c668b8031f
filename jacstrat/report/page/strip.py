"""A strip: the strategies of a single n below each other, each at its time, as SVG."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from jacstrat.report.analysis.units import shortened
from jacstrat.report.figures.picture import Picture
from jacstrat.report.page.axis import value_axis
from jacstrat.report.page.markers import marker_id
from jacstrat.report.page.svg import NAME_LIMIT

WIDTH, LEFT, RIGHT = 340, 112, 100
ROW, TOP, BOTTOM = 26, 6, 24
TICK = 46 / (WIDTH - LEFT - RIGHT)
"""The share of the axis that the label of a tick takes, such as "200 ms"."""


def strip(picture: Picture, number: Callable[[str], int], label: str) -> str:
    """The points of a picture that share one n, the fastest on top; arguments as of `page.svg.svg`."""
    lines = sorted(picture.series, key=lambda line: line.points[0].value)
    axis = value_axis(picture, TICK)
    height = TOP + ROW * len(lines) + BOTTOM
    base, across = height - BOTTOM, WIDTH - LEFT - RIGHT
    ticks = [(LEFT + share * across, text) for share, text in axis.ticks]
    parts = [
        f'<svg class="plot strip" viewBox="0 0 {WIDTH} {height}" role="img" tabindex="0" aria-label="{escape(label)}">',
        f'<path class="grid" d="{"".join(f"M{x:.1f} {TOP}V{base}" for x, _ in ticks)}"/>',
        *(f'<text x="{x:.1f}" y="{base + 18}" class="c">{escape(text)}</text>' for x, text in ticks),
    ]
    for row, line in enumerate(lines):
        (point,) = line.points
        x, y = LEFT + axis.at(point.value) * across, TOP + ROW * (row + 0.5)
        show = picture.unit.show
        wrong = point.wrong
        band, right = "", x
        if point.low is not None and point.high is not None:
            ends = [LEFT + axis.at(value) * across for value in (point.low, point.high)]
            right = max(x, ends[1])
            band = f'<path class="l" d="M{ends[0]:.1f} {y:.1f}H{ends[1]:.1f}"/>'
        words = f"{line.strategy}, {picture.setting.size} = {point.n:g}: {show(point.value)}{', wrong' * wrong}"
        parts.append(
            f'<g class="s k{number(line.strategy)}"><path class="hair" d="M{LEFT} {y:.1f}H{x:.1f}"/>{band}'
            f'<text class="end e{" w" * wrong}" x="{LEFT - 8}" y="{y + 4:.1f}">'
            f"{escape(shortened(line.strategy, NAME_LIMIT))}</text>"
            f'<use href="#{marker_id(line.strategy)}" x="{x:.1f}" y="{y:.1f}" class="p{" w" * wrong}">'
            f"<title>{escape(words)}</title></use>"
            f'<text class="v" x="{right + 10:.1f}" y="{y + 4:.1f}">'
            f"{escape(show(point.value))}{', wrong' * wrong}</text></g>"
        )
    return "".join([*parts, "</svg>"])
