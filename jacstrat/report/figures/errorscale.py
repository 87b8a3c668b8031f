"""A logarithmic axis of errors that also has a place for exactly 0 and for infinity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from jacstrat.report.figures.series import Curve, CurvePoint

BAND = "#F1F1F1"


@dataclass(frozen=True)
class ErrorScale:
    """Where errors stand.

    Fields:
        low, high: Exponents of 10 between which every positive, finite error lies.
        exact: Strategies that are exact somewhere, each with a lane of its own in the band below, highest first.
        infinite: Some error is infinite: there is a band above.
    """

    low: int
    high: int
    exact: tuple[str, ...]
    infinite: bool

    @classmethod
    def of(cls, series: Sequence[Curve], epsilon: float | None) -> ErrorScale:
        """The scale for these errors; epsilon, where known, lies on it, too.

        It spans 3 decades at least, so that rounding does not look like a difference.
        """
        values = [point.value for line in series for point in line.points]
        shown = [value for value in (*values, epsilon or 0.0) if 0 < value < math.inf] or [1.0]
        low, high = math.floor(math.log10(min(shown))), math.ceil(math.log10(max(shown)))
        exact = tuple(line.strategy for line in series if any(point.value == 0 for point in line.points))
        return cls(low, max(high, low + 3), exact, math.inf in values)

    @property
    def band(self) -> float:
        """Height of each band, in decades: a lane is 6 % of the axis, all lanes are 15 to 40 %."""
        return (self.high - self.low) * min(max(0.06 * len(self.exact), 0.15), 0.4)

    def height(self, series: Curve, point: CurvePoint) -> float:
        """The height at which a point stands: its error, or inside the band for 0 or infinity."""
        if point.value == 0:
            lane = (self.exact.index(series.strategy) + 0.75) / (len(self.exact) + 0.5)
            return 10 ** (self.low - self.band * lane)
        return 10 ** (self.high + self.band / 2) if point.value == math.inf else point.value

    @property
    def ends(self) -> tuple[float, float]:
        """The exponents at which the axis begins and ends."""
        bottom = self.low - self.band * bool(self.exact)
        return bottom, self.high + (self.band if self.infinite else 0.08 * (self.high - self.low))

    @property
    def bands(self) -> dict[str, tuple[float, float]]:
        """The exponents between which a band lies, by its name."""
        bottom, top = self.ends
        bands = {"exact": (bottom, float(self.low))} if self.exact else {}
        return bands | ({"infinite": (float(self.high), top)} if self.infinite else {})

    @property
    def powers(self) -> list[int]:
        """Exponents of the ticks."""
        step = max(1, math.ceil((self.high - self.low) / 8))
        return [k for k in range(self.low, self.high + 1) if k % step == 0]

    def apply(self, axes: Axes) -> None:
        """Limits, ticks and bands."""
        bottom, top = self.ends
        axes.set_ylim(10**bottom, 10**top)
        ticks = {10.0**k: f"$10^{{{k}}}$" for k in self.powers}
        for name, (low, high) in self.bands.items():
            axes.axhspan(10**low, 10**high, color=BAND, linewidth=0, zorder=0)
            ticks[10 ** ((low + high) / 2)] = name
        axes.yaxis.set_major_locator(FixedLocator(list(ticks)))
        axes.yaxis.set_major_formatter(FixedFormatter(list(ticks.values())))
        axes.yaxis.set_minor_locator(NullLocator())
