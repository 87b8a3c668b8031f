"""Where the time of a call goes, as SVG: a bar a strategy, the share of its kernels in colour, of its gaps in grey."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from jacstrat.report.analysis.units import shortened
from jacstrat.report.figures.split import Split
from jacstrat.report.page.svg import NAME_LIMIT

WIDTH, LEFT, RIGHT = 560, 122, 210
ROW, THICK, TOP, BOTTOM = 26, 16, 6, 24


def bars(split: Split, number: Callable[[str], int], label: str) -> str:
    """A split as one `<svg>` element; arguments as of `page.svg.svg`."""
    height = TOP + ROW * len(split.parts) + BOTTOM
    across = WIDTH - LEFT - RIGHT
    parts = [
        f'<svg class="plot bars" viewBox="0 0 {WIDTH} {height}" role="img" tabindex="0" aria-label="{escape(label)}">'
    ]
    for row, part in enumerate(split.parts):
        y = TOP + ROW * row + (ROW - THICK) / 2
        kernels, gap = part.share * across, (1 - part.share) * across
        text = y + THICK / 2 + 4
        parts.append(
            f'<g class="s k{number(part.strategy)}"><text class="end e{" w" * part.wrong}" x="{LEFT - 8}" '
            f'y="{text:.1f}">{escape(shortened(part.strategy, NAME_LIMIT))}</text>'
            f'<rect class="kernels" x="{LEFT}" y="{y:.1f}" width="{kernels:.1f}" height="{THICK}"/>'
            f'<rect class="gap" x="{LEFT + kernels:.1f}" y="{y:.1f}" width="{gap:.1f}" height="{THICK}"/>'
            f'<text class="v" x="{LEFT + kernels + gap + 6:.1f}" y="{text:.1f}">{escape(part.words)}</text></g>'
        )
    base = height - 8
    parts.append(f'<text x="{LEFT}" y="{base}">in kernels, in colour; waiting for launches, in grey</text></svg>')
    return "".join(parts)
