"""Ticks of an axis: round values that have room for their labels."""

from __future__ import annotations

import math
from collections.abc import Sequence


def spread(values: Sequence[float], room: float = 1 / 12) -> list[float]:
    """Those of the values, ascending and positive, from the largest down, whose labels have room on a logarithmic axis.

    Args:
        values: From the smallest to the largest.
        room: The share of the axis that a label takes.
    """
    least = math.log(values[-1] / values[0]) * room
    shown = [values[-1]]
    for value in reversed(values[:-1]):
        if math.log(shown[-1] / value) >= least:
            shown.append(value)
    return shown[::-1]


def log_ticks(low: float, high: float, base: int = 10, most: int = 9) -> list[float]:
    """Powers of the base, every k-th where they are too many; of 10 also 2 and 5 times one where they are few.

    On an axis that is too short for two of them, round values as on a plain one.
    """
    first, last = math.ceil(math.log(low, base) - 1e-9), math.floor(math.log(high, base) + 1e-9)
    step = max(1, math.ceil((last - first + 1) / most))
    ticks = [float(base) ** k for k in range(first, last + 1) if k % step == 0]
    if base == 10 and len(ticks) < 4:
        several = [m * 10.0**k for k in range(first - 1, last + 1) for m in (1, 2, 5)]
        ticks = [tick for tick in several if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
    return ticks if len(ticks) > 1 else linear_ticks(low, high, most=6)


def linear_ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of 10, at most so many."""
    width = max(high - low, 1e-300)
    size = 10.0 ** math.floor(math.log10(width / most))
    step = next(size * m for m in (1, 2, 5, 10, 20) if width / (size * m) <= most)
    return [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def even_ticks(low: float, high: float, room: float) -> list[float]:
    """Ticks of a logarithmic axis of which each takes that share, as evenly as that goes.

    1, 2 and 5 times powers of 10 where all of them have room; else the powers where three have; else what has room.
    """

    def fitting(ticks: Sequence[float]) -> list[float]:
        # `spread` counts in shares of the way between the outer ticks, which is shorter than the axis.
        between = math.log(ticks[-1] / ticks[0]) if ticks[0] > 0 else 0.0
        return spread(ticks, room * math.log(high / low) / between) if between else list(ticks)

    ticks = log_ticks(low, high)
    powers = [tick for tick in ticks if math.isclose(tick, 10.0 ** round(math.log10(tick)))]
    return fitting(powers if len(powers) >= 3 and fitting(ticks) != ticks else ticks)


def tick_labels(values: Sequence[float], size: str) -> list[str]:
    """Of n, or B, at ticks of an axis that has no title: what is not n is named at the first."""
    return [f"{size} = {value:g}" if size != "n" and i == 0 else f"{value:g}" for i, value in enumerate(values)]


def spaced(places: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """The places, ascending, moved apart to a distance of `least`, between low and high while there is room."""
    positions: list[float] = []
    for position in places:
        positions.append(max(position, positions[-1] + least) if positions else max(position, low))
    for i in reversed(range(len(positions))):
        limit = positions[i + 1] - least if i + 1 < len(positions) else high
        positions[i] = min(positions[i], limit)
    return positions
