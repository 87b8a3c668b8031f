"""A picture: everything that a plot shows, as a value; matplotlib and the page draw the same one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from jacstrat.report.analysis.setting import Setting
from jacstrat.report.analysis.units import (
    BYTES,
    RATES,
    SECONDS,
    format_bytes,
    format_error,
    format_rate,
    format_ratio,
    format_seconds,
    scaled,
)
from jacstrat.report.figures.series import Curve, CurvePoint


@dataclass(frozen=True)
class Unit:
    """How values of an axis read.

    Fields:
        show: A value in full.
        tick: A value as the label of a tick.
        base: Of the logarithmic axis.
    """

    show: Callable[[float], str]
    tick: Callable[[float], str]
    base: int = 10


def _in(units: tuple[str, ...], base: float, factor: float = 1.0) -> Callable[[float], str]:
    def tick(value: float) -> str:
        number, unit = scaled(value * factor, units, base)
        return f"{number:.3g} {unit}"

    return tick


TIME = Unit(format_seconds, _in(SECONDS, 1000, 1e9))
RATIO = Unit(format_ratio, "{:g}".format)
SIZE = Unit(format_bytes, _in(BYTES, 1024), base=2)
RATE = Unit(format_rate, _in(RATES, 1000))
ERROR = Unit(format_error, "{:.0e}".format)


@dataclass(frozen=True)
class GuideLine:
    """A thin grey line with a label at its end: a curve over the whole axis, or the points given."""

    label: str
    curve: Callable[[float], float] | None = None
    points: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Mark:
    """A vertical line at x with its words."""

    x: float
    words: str


XKind = Literal["n", "seconds", "rounds", "intensity"]


@dataclass(frozen=True)
class Picture:
    """What a plot shows.

    Fields:
        name: Its name, as for `--plot`.
        setting: Of what.
        title, answer: What is shown, and what it says.
        xlabel, ylabel: The quantities.
        unit: Of y.
        series: In the order in which they meet a legend on their right; never empty.
        x: What x is: n or something like it, with ticks at the values; a time; FLOPs a byte; or a number of rounds,
            not logarithmic.
        references, marks: Grey lines, and vertical ones.
        front: Points that a staircase joins, by x; empty where there is none.
        span: The ends of y, where the picture shares them with another; by its own values unless given.
        errors: y is an error: a logarithmic axis with a place for 0 and for infinity. `epsilon` lies on it.
    """

    name: str
    setting: Setting
    title: str
    answer: str
    xlabel: str
    ylabel: str
    unit: Unit
    series: tuple[Curve, ...]
    x: XKind = "n"
    references: tuple[GuideLine, ...] = ()
    marks: tuple[Mark, ...] = ()
    front: tuple[tuple[Curve, CurvePoint], ...] = ()
    span: tuple[float, float] | None = None
    errors: bool = False
    epsilon: float | None = None


EPSILON: Mapping[str, float] = MappingProxyType(
    {
        "float64": 2.0**-52,
        "float32": 2.0**-23,
        "tf32": 2.0**-10,
        "float16": 2.0**-10,
        "bfloat16": 2.0**-7,
    }
)
"""Machine epsilon by dtype: 2 to minus the stored bits of the significand (IEEE 754; TF32 has ten, as float16)."""
