"""Numbers as people read them: three significant digits and a unit; an empty text where nothing was measured."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

SECONDS = ("ns", "µs", "ms", "s")
_UNIT = re.compile(r"[^0-9]*$")
BYTES = ("B", "KiB", "MiB", "GiB", "TiB")
RATES = ("FLOP/s", "kFLOP/s", "MFLOP/s", "GFLOP/s", "TFLOP/s")
NAME_LIMIT = 28


def scaled(value: float, units: Sequence[str], base: float) -> tuple[float, str]:
    """The value in the largest of its units, each `base` of the one before, in which it shows as 1 or more.

    Args:
        value: In units of the first unit.
        units: From the smallest to the largest.
        base: 1000 or 1024.
    """
    unit = 0
    while unit < len(units) - 1 and float(_three(abs(value))) >= base:
        value, unit = value / base, unit + 1
    return value, units[unit]


def _three(value: float) -> str:
    """Three significant digits, and no exponent from 0.1 to 10^6."""
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    size = abs(value)
    if size < 0.1 or size >= 999999.5:
        return f"{value:.3g}"
    decimals = next((d for d, limit in ((3, 1), (2, 10), (1, 100)) if round(size, d) < limit), 0)
    return f"{value:.{decimals}f}"


def format_seconds(value: float | None) -> str:
    """A time given in seconds: "12.3 µs"."""
    if value is None:
        return ""
    if value == 0:
        return "0 s"
    number, unit = scaled(value * 1e9, SECONDS, 1000)
    return f"{_three(number)} {unit}"


def format_quartiles(median: float | None, q1: float | None, q3: float | None) -> str:
    """A median with its quartiles, all in seconds, shown in the median's unit: "12.3 µs [12.1, 12.9]"."""
    if median is None or q1 is None or q3 is None or median == 0:
        return format_seconds(median)
    number, unit = scaled(median * 1e9, SECONDS, 1000)
    return f"{_three(number)} {unit} [{_three(q1 * number / median)}, {_three(q3 * number / median)}]"


def format_bytes(value: float | None) -> str:
    """A number of bytes in binary units: "1.50 KiB"."""
    if value is None:
        return ""
    number, unit = scaled(value, BYTES, 1024)
    return f"{number:.0f} B" if unit == "B" else f"{_three(number)} {unit}"


def format_rate(value: float) -> str:
    """A rate of computing: "12.3 GFLOP/s"."""
    number, unit = scaled(value, RATES, 1000)
    return f"{_three(number)} {unit}"


def format_ratio(value: float | None) -> str:
    """A ratio: "3.14"."""
    return "" if value is None else _three(value)


def format_factor(value: float | None) -> str:
    """How many times as much: "3.14×"."""
    return "" if value is None else f"{_three(value)}×"


def format_error(value: float | None) -> str:
    """An error: "1.2e-16", "0.31", and "0" for exactly none."""
    if value is None:
        return ""
    return f"{value:.2g}" if value == 0 or 0.01 <= value < 100 else f"{value:.1e}"


def format_range(low: str, high: str) -> str:
    """Two formatted ends as one text, a common unit once: "3.1–4.2 µs"; one end where both read the same."""
    unit = _UNIT.search(high)
    if low == high or unit is None:
        return low
    return f"{low.removesuffix(unit[0])}–{high}"


def format_spans(spans: Sequence[tuple[int, int]]) -> str:
    """Ranges of n: "1–8, 64"."""
    return ", ".join(format_range(str(low), str(high)) for low, high in spans)


def shortened(name: str, limit: int = NAME_LIMIT) -> str:
    """A name that fits a legend: the middle of a long one is left out, since variants differ at their ends."""
    if len(name) <= limit:
        return name
    half = (limit - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def format_multiple(value: float) -> str:
    """How many times as much, as a sentence says it: "1.04", "2.5", "118", and three digits below 1."""
    if value < 1:
        return f"{value:.3g}"
    return f"{value:.2f}" if value < 1.995 else f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def listed(words: Iterable[str]) -> str:
    """Words as a list in a sentence: "a, b and c"."""
    *first, last = [*words] or [""]
    return f"{', '.join(first)} and {last}" if first else last
