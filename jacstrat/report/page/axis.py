"""The axes of a plot on the page: where values stand, between 0 and 1, and which ticks there are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jacstrat.report.figures.errorscale import ErrorScale
from jacstrat.report.figures.picture import TIME, Picture
from jacstrat.report.figures.series import Curve, CurvePoint
from jacstrat.report.figures.ticks import even_ticks, linear_ticks, log_ticks, spread, tick_labels

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
ZERO_BAND = 0.1
"""The share of an axis below its logarithmic part that is for 0."""


@dataclass(frozen=True)
class Axis:
    """An axis.

    Fields:
        low, high: The ends, of the logarithm where it is logarithmic.
        log: It is logarithmic.
        ticks: (share of the axis, label), ascending.
        bands: (share, share) of grey bands.
        floor: The share at which a value of 0 stands, and from which the logarithm begins is twice as high.
    """

    low: float
    high: float
    log: bool
    ticks: tuple[tuple[float, str], ...]
    bands: tuple[tuple[float, float], ...] = ()
    floor: float = 0.0

    def at(self, value: float) -> float:
        """The share of the axis at which a value stands; outside 0 to 1 where the axis does not reach."""
        if self.log and value <= 0:
            return self.floor
        scaled = math.log10(value) if self.log else value
        return 2 * self.floor + (1 - 2 * self.floor) * (scaled - self.low) / (self.high - self.low)


def x_axis(picture: Picture, single: bool, room: float = 1 / 9, named: bool = False) -> Axis:
    """The x axis, of which a tick takes that share; without a title where the lines are named.

    Where all points share one n they stand side by side, at 1, 2, ..., without ticks.
    """
    if single:
        return Axis(0.4, len(picture.series) + 0.6, False, ())
    xs = sorted({point.n for line in picture.series for point in line.points})
    if picture.x == "rounds":
        margin = (xs[-1] - xs[0]) * 0.03
        axis = Axis(xs[0] - margin, xs[-1] + margin, False, ())
        return _ticked(axis, linear_ticks(xs[0], xs[-1], most=6), "{:g}".format)
    margin = math.log10(xs[-1] / xs[0]) * 0.03
    axis = Axis(math.log10(xs[0]) - margin, math.log10(xs[-1]) + margin, True, ())
    if picture.x == "n":
        kept = spread(xs, room)
        labels = dict(zip(kept, tick_labels(kept, picture.setting.size if named else "n"), strict=True))
        return _ticked(axis, kept, labels.__getitem__)
    label = TIME.tick if picture.x == "seconds" else "{:g}".format
    return _ticked(axis, even_ticks(10**axis.low, 10**axis.high, 1 / 5), label)


def value_axis(picture: Picture, room: float) -> Axis:
    """The values of a picture as an x axis, of which a tick takes that share."""
    axis, _ = y_axis(picture)
    if picture.errors:
        return axis
    return _ticked(axis, even_ticks(10**axis.low, 10**axis.high, room), picture.unit.tick)


def y_axis(picture: Picture, most: int = 7) -> tuple[Axis, Callable[[Curve, CurvePoint], float]]:
    """The y axis, with so many ticks at most, and where a point stands on it.

    That is at its value, or in the band of exact or infinite errors.
    """
    if picture.errors:
        scale = ErrorScale.of(picture.series, picture.epsilon)
        low, high = scale.ends
        axis = Axis(low, high, True, ())
        ticks = [(axis.at(10.0**k), "10" + str(k).translate(SUPERSCRIPTS)) for k in scale.powers]
        spans = {name: (axis.at(10**a), axis.at(10**b)) for name, (a, b) in scale.bands.items()}
        ticks += [((a + b) / 2, name) for name, (a, b) in spans.items()]
        return Axis(low, high, True, tuple(sorted(ticks)), tuple(spans.values())), scale.height
    shown = _values(picture)
    low, high = (math.log10(end) for end in picture.span or (min(shown), max(shown)))
    # At least a factor of 5, so that noise does not look like a difference; then a margin.
    short = max(0.0, math.log10(5) - (high - low)) / 2
    margin = (high - low + 2 * short) * 0.05
    zero = any(point.value == 0 for line in picture.series for point in line.points)
    axis = Axis(low - short - margin, high + short + margin, True, (), floor=ZERO_BAND / 2 if zero else 0.0)
    ends = 10**axis.low, 10**axis.high
    values = even_ticks(*ends, 0.5 / most) if picture.unit.base == 10 else log_ticks(*ends, picture.unit.base, most)
    axis = _ticked(axis, values, picture.unit.tick)
    if zero:
        axis = Axis(axis.low, axis.high, True, ((axis.floor, "0"), *axis.ticks), ((0, ZERO_BAND),), axis.floor)
    return axis, lambda line, point: point.value


def _values(picture: Picture) -> Sequence[float]:
    """Every positive value that is to be on the axis: points, bands, references that are points."""
    points = [point for line in picture.series for point in line.points]
    values = [value for p in points for value in (p.value, p.low, p.high) if value and 0 < value < math.inf]
    values += [y for line in picture.references for _, y in line.points if y > 0]
    return values or [1.0]


def _ticked(axis: Axis, values: Sequence[float], label: Callable[[float], str]) -> Axis:
    ticks = tuple((axis.at(value), label(value)) for value in values)
    return Axis(axis.low, axis.high, axis.log, ticks, axis.bands, axis.floor)
