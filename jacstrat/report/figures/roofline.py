"""The pictures of what the hardware allows: the roofline, and the time over the least that it could take.

They are of columns that only some records have, and are drawn from those by name: records of an older jacstrat, or of a
device whose rates were not measured, have none, and `absent` says which are missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from types import MappingProxyType

from jacstrat.record import Record
from jacstrat.report.analysis.answers import MEASURED
from jacstrat.report.analysis.setting import Setting
from jacstrat.report.analysis.units import format_rate, shortened
from jacstrat.report.figures.lower_bound import Least, over_least
from jacstrat.report.figures.picture import RATE, GuideLine, Picture
from jacstrat.report.figures.series import Curve, CurvePoint, series_of

ROOFLINE, LIGHT, SPLIT = "roofline", "over-light", "time-split"
LEAST_TIME = Least("least", "the least time")
NEEDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        ROOFLINE: ("flops", "moved_bytes", "compute_s", "memory_s"),
        LIGHT: ("over_light",),
        SPLIT: ("kernel_s", "gap_s"),
    }
)
"""The columns that a picture is drawn from."""
WHY: Mapping[str, str] = MappingProxyType(
    {
        ROOFLINE: "it needs the rates of the device and counts of matrix products",
        LIGHT: "it needs a network and the rates of the device",
        SPLIT: "it needs a device whose kernels a profiler sees",
    }
)


def value_of(record: Record, column: str) -> float | None:
    """A number of a record by its column; None where the record has no number, or there is no such column."""
    value: float | None = getattr(record, column, None)
    return value


def absent(name: str, records: Sequence[Record]) -> str:
    """Why a picture is not drawn, in words; "" where every column that it needs is in some record."""
    measured = [record for record in records if record.median_s]
    missing = [column for column in NEEDS.get(name, ()) if not any(value_of(record, column) for record in measured)]
    return f"{name}: no record has {' or '.join(missing)}; {WHY[name]}" if missing else ""


def light_picture(setting: Setting, records: Sequence[Record], title: str) -> Picture | None:
    """Time over the least that the device could take for the best-known algorithm, against n."""
    series = series_of(records, lambda record: value_of(record, "over_light"))
    return over_least(LIGHT, "time of one call / least time of the device", LEAST_TIME, setting, title, series)


def roofline_picture(setting: Setting, records: Sequence[Record], title: str) -> Picture | None:
    """FLOPs a second against FLOPs a byte at the largest n, below the roof of what the device was measured to do.

    The roof is min(R, I W) at I FLOPs a byte: R the rate of matrix products, W that of a copy.
    """
    placed = [
        r for r in records if r.status in MEASURED and r.median_s and all(value_of(r, c) for c in NEEDS[ROOFLINE])
    ]
    if not placed:
        return None
    n = max(record.n for record in placed)
    placed = [record for record in placed if record.n == n]
    rate = median(_over(record, "flops", "compute_s") for record in placed)
    bytes_rate = median(_over(record, "moved_bytes", "memory_s") for record in placed)
    points = [(_over(r, "flops", "moved_bytes"), _over(r, "flops", "median_s"), r) for r in placed]
    xs = tuple(sorted({x for x, _, _ in points}))
    ordered = sorted(points, key=lambda each: (-each[1], each[2].strategy))
    series = tuple(
        Curve(
            r.strategy, xs, (CurvePoint(x, y, None, None, r.status == "wrong"),), "wrong" if r.status == "wrong" else ""
        )
        for x, y, r in ordered
    )

    def roof(intensity: float) -> float:
        return min(rate, intensity * bytes_rate)

    corners = [xs[0], *(x for x in (rate / bytes_rate,) if xs[0] < x < xs[-1]), xs[-1]]
    nearest = max(points, key=lambda each: each[1] / roof(each[0]))
    share = nearest[1] / roof(nearest[0])
    answer = f"Nearest to the roof: {shortened(nearest[2].strategy)}, {share:.0%} of {format_rate(roof(nearest[0]))}"
    return Picture(
        ROOFLINE,
        setting,
        f"{title}, n = {n}",
        answer,
        "FLOPs of matrix products / bytes moved",
        "FLOPs a second",
        RATE,
        series,
        x="intensity",
        references=(GuideLine("roof", points=tuple((x, roof(x)) for x in corners)),),
    )


def _over(record: Record, numerator: str, denominator: str) -> float:
    above, below = value_of(record, numerator), value_of(record, denominator)
    return above / below if above and below else math.nan
